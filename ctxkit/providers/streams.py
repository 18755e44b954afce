"""Answers in pieces that remember what they were when they have ended."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator

from ctxkit.interfaces.llm import Completion


class Ending:
    """Where a stream leaves the whole answer."""

    completion: Completion | None = None


class AnswerStream(Iterator[str]):
    """The pieces of an answer as they come. Closing it, or letting go of it, ends the call.

    `completion` is the whole answer with its usage, its tool calls and why it stopped; None until the last piece came.
    """

    def __init__(self, pieces: Generator[str, None, None], ending: Ending) -> None:
        self._pieces = pieces
        self._ending = ending

    @property
    def completion(self) -> Completion | None:
        """The whole answer, once the stream has ended."""
        return self._ending.completion

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """End the call."""
        self._pieces.close()


class AsyncAnswerStream(AsyncIterator[str]):
    """The same in an event loop."""

    def __init__(self, pieces: AsyncGenerator[str, None], ending: Ending) -> None:
        self._pieces = pieces
        self._ending = ending

    @property
    def completion(self) -> Completion | None:
        """The whole answer, once the stream has ended."""
        return self._ending.completion

    async def __anext__(self) -> str:
        return await self._pieces.__anext__()

    async def aclose(self) -> None:
        """End the call."""
        await self._pieces.aclose()
