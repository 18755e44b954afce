"""From a name and a kind to the files of a distribution.

A template is the file of a real project whose name is `acme`. It is rendered by putting the new name in the place of
that one, in each of its forms, and a few words in the places marked @LIKE_THIS@.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from ctxkit import __version__
from ctxkit.interfaces import Kind
from ctxkit.scaffold.naming import Names, check_name

# The word of the command line and of pyproject.toml for each kind.
KEYWORDS: Mapping[Kind, str] = MappingProxyType(
    {"vector_store": "vector-store", "embedder": "embedder", "tokenizer": "tokenizer", "llm": "llm"}
)
_WORDS: Mapping[Kind, str] = {"llm": "language model"}
_DEPENDENCIES: Mapping[Kind, tuple[str, ...]] = {"vector_store": ("numpy>=1.24",), "embedder": ("numpy>=1.24",)}
_TEMPLATES = Path(__file__).parent / "templates"
_SUFFIX = ".tmpl"
_PLACE = re.compile(r"test_acme|ctxkit_acme|ctxkit-acme|Acme|acme|@[A-Z]+@")


@dataclass(frozen=True, slots=True)
class Project:
    """A distribution that is not written yet: its names, its kind, and its files by relative path, sorted."""

    names: Names
    kind: Kind
    files: Mapping[str, str]


def render(name: str, kind: Kind) -> Project:
    """Return the files of a new plugin; raises ConfigError for a name that cannot be one."""
    names = check_name(name)
    places = _places(names, kind)

    def filled(text: str) -> str:
        return _PLACE.sub(lambda found: places[found.group()], text)

    files: dict[str, str] = {}
    # A file that both have is the kind's, followed by the common one.
    for folder in (_TEMPLATES / kind, _TEMPLATES / "common"):
        for template in folder.rglob(f"*{_SUFFIX}"):
            path = template.relative_to(folder).as_posix().removesuffix(_SUFFIX)
            target = filled(path.replace("dot_", "."))
            files[target] = files.get(target, "") + filled(template.read_text(encoding="utf-8"))
    return Project(names, kind, MappingProxyType(dict(sorted(files.items()))))


def core_range(version: str) -> str:
    """Return the versions of ctxkit-core that go with what is made now: from this one's minor to the next major."""
    major, minor = version.split(".")[:2]
    return f">={major}.{minor},<{int(major) + 1}"


def _places(names: Names, kind: Kind) -> dict[str, str]:
    words = _WORDS.get(kind, KEYWORDS[kind].replace("-", " "))
    allowed = core_range(__version__)
    return {
        "test_acme": f"test_{names.identifier}",
        "ctxkit_acme": names.package,
        "ctxkit-acme": names.distribution,
        "Acme": names.prefix,
        "acme": names.name,
        "@ARTICLE@": "an" if words[0] in "aeiou" else "a",
        "@WORDS@": words,
        "@KEYWORD@": KEYWORDS[kind],
        "@CORE@": allowed,
        "@DEPENDENCIES@": "".join(f', "{each}"' for each in _DEPENDENCIES.get(kind, ())),
        "@TARGET@": f"{kind}:{names.name}",
        "@CONFORMANCE@": f'"ctxkit-conformance{allowed}", ',
    }
