"""The troubleshooting page runs as a reader runs it, with `ctxkit` for `context_manager`: every block, in order."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import seed.effects_of_settings
import seed.effects_of_trouble
import seed.effects_of_use  # noqa: F401 - importing the three fills EFFECTS
from seed.preludes import PRELUDES
from seed.snippets import LEFT_OUT, LeftOut, Snippet, snippets
from seed.stage import Stage, staged
from seed.watching import EFFECTS

SNIPPETS = snippets()


class Reading:
    """The page as far as it was read, and what each block's effect turned out to be."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._left = iter(SNIPPETS)
        self._failures: dict[str, BaseException | None] = {}

    def outcome(self, snippet: Snippet) -> BaseException | None:
        """Read on until after the block, and return what failed in it or in its effect."""
        while snippet.key not in self._failures:
            following = next(self._left)
            try:
                PRELUDES.get(following.key, _nothing)(self._stage)
                self._stage.run(following)
                EFFECTS[following.key](self._stage)
            except Exception as exc:  # noqa: BLE001 - shown by the test of that block
                self._failures[following.key] = exc
            else:
                self._failures[following.key] = None
        return self._failures[snippet.key]


def _nothing(_: Stage) -> None:
    """Prepare nothing."""


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    """The page is read once, however many of its blocks are looked at."""
    with staged(tmp_path_factory.mktemp("page")) as stage:
        yield Reading(stage)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[snippet.key for snippet in SNIPPETS])
def test_a_block_of_the_page_does_what_it_is_for(reading: Reading, snippet: Snippet) -> None:
    """It runs after the blocks before it, and its effect is there."""
    failure = reading.outcome(snippet)
    if failure is not None:
        raise failure


def test_every_block_is_run_and_looked_at() -> None:
    """A pattern that stops matching, or a prelude of no block, would leave a promise untested."""
    assert [snippet.language for snippet in SNIPPETS] == ["bash"] * 2 + ["python"] * 31
    assert set(EFFECTS) == {snippet.key for snippet in SNIPPETS}
    assert set(PRELUDES) < set(EFFECTS)


@pytest.mark.parametrize("left", LEFT_OUT, ids=[f"{left.key} {left.text[:12]}" for left in LEFT_OUT])
def test_what_is_left_out_stands_on_the_page_and_has_a_reason(left: LeftOut) -> None:
    """Nothing can be left out by accident, and nothing that holds a line of ours."""
    (snippet,) = [snippet for snippet in SNIPPETS if snippet.key == left.key]
    assert left.text in snippet.text
    assert "outside world" in left.reason or "shell" in left.reason or left.reason.startswith("the same")
    assert "context_manager" not in left.text
