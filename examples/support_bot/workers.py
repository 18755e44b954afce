"""Worker processes that share one store: any of them answers any tenant, and where one dies another takes over."""

from __future__ import annotations

import multiprocessing
import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait

from ctxkit import Config, CtxkitError
from ctxkit.errors import StoreLockedError, StoreUnavailableError

from .bot import Answer, Message, SupportBot

_SPAWN = multiprocessing.get_context("spawn")  # a forked child would share the parent's open files
_PASSING = (StoreLockedError, StoreUnavailableError)  # a server that is being restarted, for example
_TRIES = 10
_PAUSE = 0.2  # seconds before the second try of a message, and as much more before each further one


class GivenUpError(Exception):
    """A message that no worker could answer."""


@dataclass(frozen=True)
class Failure:
    """Why a worker could not answer; `passing` where another try may succeed."""

    text: str
    passing: bool


def answer_all(rounds: Sequence[Sequence[tuple[str, str]]], workers: int, path: str | None) -> list[list[Answer]]:
    """Return the answers to each round of what tenants say; a round begins when the one before it is answered.

    What a worker was at work on when it died another one takes over: it is answered, and remembered, once. So is what
    the store could not take just then. Raises GivenUpError where that happens too often, and at once for other errors.
    """
    crew = [_Worker(path) for _ in range(workers)]
    try:
        return [_answered(messages, crew, path) for messages in rounds]
    finally:
        for worker in crew:
            worker.end()


class _Worker:
    """A process with a pipe of its own: one that is killed leaves no lock behind that others wait for."""

    def __init__(self, path: str | None) -> None:
        self.pipe, theirs = _SPAWN.Pipe()
        self._process = _SPAWN.Process(target=_work, args=(theirs, path))
        self._process.start()
        theirs.close()
        self.message: Message | None = None

    def give(self, message: Message) -> None:
        self.message = message
        with suppress(ConnectionError):  # it has died: that is noticed where its answer is waited for
            self.pipe.send(message)

    def end(self) -> None:
        self.pipe.close()
        self._process.join()


def _work(pipe: Connection, path: str | None) -> None:
    """Answer messages until the pipe is closed: what each worker process does."""
    bot: SupportBot | None = None
    with ExitStack() as opened:
        for message in _received(pipe):
            try:
                bot = bot or opened.enter_context(closing(SupportBot(Config.load(), path)))
                said: Answer | Failure = bot.handle(message)
            except CtxkitError as error:
                said = Failure(str(error), isinstance(error, _PASSING))
            with suppress(ConnectionError):  # nobody waits for it any more
                pipe.send(said)


def _received(pipe: Connection) -> Iterator[Message]:
    with suppress(EOFError, OSError):
        while True:
            yield pipe.recv()


def _answered(messages: Sequence[tuple[str, str]], crew: list[_Worker], path: str | None) -> list[Answer]:
    """Return the answers as they come; in `crew` a new worker stands where one has died."""
    waiting = deque(Message(uuid.uuid4().hex, tenant, text) for tenant, text in messages)
    answers: list[Answer] = []
    while len(answers) < len(messages):
        for worker in crew:
            if waiting and worker.message is None:
                worker.give(waiting.popleft())
        ready = wait([worker.pipe for worker in crew if worker.message is not None])
        for place, worker in enumerate(crew):
            message = worker.message
            if message is None or worker.pipe not in ready:
                continue
            worker.message = None
            said: Answer | Failure = Failure("the worker died", passing=True)
            try:
                said = worker.pipe.recv()
            except (EOFError, OSError):
                worker.end()
                crew[place] = _Worker(path)
            if isinstance(said, Failure):
                waiting.appendleft(_again(message, said))
            else:
                answers.append(said)
    return answers


def _again(message: Message, failure: Failure) -> Message:
    """Return the message for another try, which may find that the first one got as far as to remember it."""
    tries = message.tries + 1
    if tries == _TRIES or not failure.passing:
        raise GivenUpError(f"{message.tenant} gets no answer: {failure.text}")
    time.sleep(_PAUSE * tries)
    return replace(message, tries=tries)
