"""What the tests of the inspector share: a store with hostile texts, and a conversation in sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from components import config
from manager_support import manager

from ctxkit import ContextManager
from ctxkit.inspector import Inspector

QUESTION: Final = "Where is the dinghy moored?"
# Each would break out of a place where it is not written as text.
HOSTILE: Final = (
    "<script>window.hacked = 'script'</script> dinghy",
    "<img src=x onerror=\"window.hacked = 'image'\"> dinghy",
    "</script><script>window.hacked = 'closed'</script> dinghy",
    "<!--<script> dinghy",
    "\" onmouseover=\"window.hacked = 'quote'\" ' autofocus onfocus='window.hacked = 1' dinghy",
    "dinghy \u2028 window.hacked = 'line' \u2029 end",
    "dinghy \u202e drow desrever \u2066 isolated \u200f",
    "dinghy \x1b[2J\x1b]0;title\x07 escape \x00 nul",
    "dinghy \U000e0069\U000e0067\U000e006e\U000e006f\U000e0072\U000e0065 tags",
    "${jndi} $style {{dinghy}} &lt;b&gt; &amp;",
)
# Seconds since the epoch of the first turn, 1 March 2026; sessions are a day apart, their turns a minute.
BEGAN: Final = 1_772_323_200.0


@contextmanager
def hostile_inspector() -> Iterator[Inspector]:
    """Yield the inspector of a store whose texts, sessions, speakers and sources are all hostile."""
    with manager() as made:
        for number, text in enumerate(HOSTILE):
            told = {"session_id": text, "speaker": text, "source_id": text, "timestamp": BEGAN + number}
            made.add_memory(text, told)
        yield Inspector(made)


def fill(made: ContextManager, *, sessions: int = 3, turns: int = 6) -> None:
    """Observe a conversation in sessions s0, s1, ..., and two newest turns without one."""
    for session in range(sessions):
        for turn in range(turns):
            about = "the dinghy at its pier" if turn == 2 else f"topic {session} {turn} and nothing else"
            made.observe(
                f"What about {about}?",
                f"It is moored, says speaker {session}, {about}.",
                timestamp=BEGAN + 86400.0 * session + 60.0 * turn,
                metadata={"session_id": f"s{session}", "speaker": f"Ann {session}"},
            )
    for turn in range(2):
        when = BEGAN + 86400.0 * sessions + 60.0 * turn
        made.observe(f"A newest question {turn}?", "An answer.", timestamp=when)


@contextmanager
def talk_inspector(*, budget: int = 300, sessions: int = 3) -> Iterator[Inspector]:
    """Yield the inspector of a conversation in sessions, with a document beside it."""
    with manager(settings=config(recent_k=2, ltm_hits_k=5)) as made:
        fill(made, sessions=sessions)
        made.ingest_text("The dinghy is moored at the third post of the old pier.", source_id="boats.md")
        yield Inspector(made, budget=budget)
