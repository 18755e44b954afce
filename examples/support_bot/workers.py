"""Worker processes that share one store: any of them answers any tenant."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from contextlib import closing, suppress
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from queue import Empty

from ctxkit import Config

from .bot import Answer, SupportBot

Message = tuple[str, str]
"""A tenant, and what it says."""


def answer_all(rounds: Sequence[Sequence[Message]], workers: int, path: str | None) -> list[list[Answer]]:
    """Return the answers to each round of messages; a round begins when the one before it is answered."""
    spawn = multiprocessing.get_context("spawn")  # a forked child would share the parent's open files
    inbox: Queue[Message | None] = spawn.Queue()
    outbox: Queue[Answer] = spawn.Queue()
    processes = [spawn.Process(target=_work, args=(inbox, outbox, path)) for _ in range(workers)]
    for process in processes:
        process.start()
    try:
        answers = []
        for messages in rounds:
            for message in messages:
                inbox.put(message)
            answers.append([_next(outbox, processes) for _ in messages])
        return answers
    finally:
        for _ in processes:
            inbox.put(None)
        for process in processes:
            process.join()


def _work(inbox: Queue[Message | None], outbox: Queue[Answer], path: str | None) -> None:
    """Answer messages until None comes: what each worker process does."""
    with closing(SupportBot(Config.load(), path)) as bot:
        for tenant, message in iter(inbox.get, None):
            outbox.put(bot.handle(tenant, message))


def _next(outbox: Queue[Answer], processes: Sequence[SpawnProcess]) -> Answer:
    while not any(process.exitcode for process in processes):
        with suppress(Empty):
            return outbox.get(timeout=1)
    raise RuntimeError("a worker process failed; what it printed says why.")
