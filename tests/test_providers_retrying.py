"""Tries: how many, how long apart, and until when."""

from __future__ import annotations

import itertools

import pytest

from ctxkit.errors import LLMError, ProviderUnavailableError
from ctxkit.providers import Attempts, Failure
from ctxkit.providers.failures import seconds_asked

PASSING = Failure(ProviderUnavailableError("down."), passing=True)


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now


def pauses(attempts: Attempts, failure: Failure, clock: Clock) -> list[float]:
    """Return the pauses until there is none any more, each of them waited out."""
    found = []
    while (pause := attempts.pause(failure)) is not None:
        found.append(pause)
        clock.now += pause
    return found


def test_hopeless_failure_is_not_tried_again() -> None:
    """A wrong key stays wrong."""
    assert Attempts(5, 60).pause(Failure(LLMError("wrong."))) is None


@pytest.mark.parametrize(("chance", "first"), [(0.0, 0.5), (1.0, 0.25)])
def test_backoff_doubles_up_to_a_bound(chance: float, first: float) -> None:
    """Without word from the provider pauses double up to 8 seconds, less a random part of up to half."""
    clock = Clock()
    found = pauses(Attempts(7, 1000, clock=clock, chance=lambda: chance), PASSING, clock)
    assert found == [min(first * 2**n, 16 * first) for n in range(7)]


@pytest.mark.parametrize("asked", [0.2, 1.0, 20.0, 100.0])
def test_what_is_asked_for_is_waited_and_hardly_more(asked: float) -> None:
    """A wait is never shorter than asked for, and at most a tenth longer."""
    for chance in (0.0, 0.5, 1.0):
        failure = Failure(PASSING.error, passing=True, wait=asked)
        pause = Attempts(1, 1000, chance=lambda chance=chance: chance).pause(failure)  # type: ignore[misc]
        assert pause is not None
        assert asked <= pause <= asked * 1.1


def test_time_is_bounded() -> None:
    """However many tries are left, none begins after the deadline; a wait beyond it is not even begun."""
    clock = Clock()
    found = pauses(Attempts(1000, 30, clock=clock, chance=lambda: 0.0), PASSING, clock)
    assert sum(found) <= 30 < sum(found) + 8
    assert Attempts(5, 30).pause(Failure(PASSING.error, passing=True, wait=31.0)) is None


def test_number_is_bounded() -> None:
    """Zero retries are none, and three are three."""
    clock = Clock()
    assert [len(pauses(Attempts(n, 1000, clock=clock), PASSING, clock)) for n in (0, 1, 3)] == [0, 1, 3]


def test_those_who_wait_do_not_come_back_together() -> None:
    """Two callers that are told the same wait come back at different moments."""
    failure = Failure(PASSING.error, passing=True, wait=10.0)
    found = [Attempts(1, 60).pause(failure) for _ in range(20)]
    assert len(set(found)) == 20
    assert all(first is not None for first in itertools.chain(found))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:50 GMT"}, 10.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:50 GMT"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
    ],
)
def test_headers_that_ask_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates are understood, and whatever else a header holds is no number."""
    assert seconds_asked(headers, now=100.0) == seconds
