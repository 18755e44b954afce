"""Ctrl-C as the end of one answer: it stops the waiting once, and never what is being stored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def stoppable() -> Iterator[Callable[[], None]]:
    """Let the first SIGINT raise KeyboardInterrupt and pass over those after it; yields what ends that chance early.

    Outside of the main thread, where no signal arrives, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    open_to_it = True

    def settle() -> None:
        nonlocal open_to_it
        open_to_it = False

    def interrupt(_number: int, _frame: object) -> None:
        if open_to_it:
            settle()
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield settle
    finally:
        signal.signal(signal.SIGINT, before)
