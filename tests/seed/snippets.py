"""The page's blocks of code, in order, and what of them is left out, each with its reason."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).with_name("page.txt")  # a formatter would rewrite Markdown
_PART: Final = re.compile(
    r"^#{2,3} (?:\d+\. )?(?P<title>[^\n]+)$|^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Snippet:
    """One block: the heading it stands under, which of that heading's blocks it is (from 1), its language and text."""

    heading: str
    number: int
    language: str
    text: str

    @property
    def key(self) -> str:
        """A name that no other block has."""
        return f"{self.heading} {self.number}"

    @property
    def code(self) -> str:
        """What runs: the text with `ctxkit` for `context_manager`, without what is left out."""
        text = self.text
        for left in LEFT_OUT:
            if left.key == self.key:
                text = text.replace(left.text, "")
        return text.replace("context_manager", "ctxkit")


@dataclass(frozen=True)
class LeftOut:
    """A part of a block that does not run, and why."""

    key: str
    text: str
    reason: str


LEFT_OUT: Final = (
    LeftOut(
        "Import Errors 1",
        "pip install context-manager",
        "a shell line that installs from the outside world; tests never reach it",
    ),
    LeftOut(
        "Import Errors 1",
        """git clone https://github.com/contextmanager/context-manager.git
cd context-manager
pip install -e .
""",
        "shell lines that fetch from the outside world; tests never reach it",
    ),
    LeftOut(
        "Import Errors 2",
        "pip install faiss-cpu",
        "a shell line that installs from the outside world; tests never reach it",
    ),
    LeftOut("Import Errors 2", "pip install faiss-gpu", "the same, and it wants a graphics card"),
    LeftOut("Import Errors 2", "conda install -c conda-forge faiss-cpu", "the same, and it wants conda"),
    LeftOut(
        "Embedding Model Download Issues 1",
        """import requests
try:
    response = requests.get("https://huggingface.co", timeout=5)
    print("✅ Internet connection available")
except:
    print("❌ No internet connection")
""",
        "a call to a host of the outside world, with no part of ctxkit in it",
    ),
    LeftOut(
        "API Key Issues 1",
        """export OPENAI_API_KEY="your-openai-api-key"
export ANTHROPIC_API_KEY="your-anthropic-api-key"
""",
        "shell lines inside a block of Python",
    ),
)


def snippets() -> list[Snippet]:
    """Return every block of the page in its order."""
    found: list[Snippet] = []
    heading = ""
    for part in _PART.finditer(PAGE.read_text(encoding="utf-8")):
        if part["title"] is not None:
            heading = part["title"]
        else:
            number = 1 + sum(snippet.heading == heading for snippet in found)
            found.append(Snippet(heading, number, part["language"], part["code"]))
    return found
