"""Starting processes that hear SIGINT, whoever started the tests."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hearing_interrupts() -> Iterator[None]:
    """Have what is started meanwhile hear SIGINT: a shell's background job ignores it, and hands that on.

    A signal that has a handler here goes back to its default in a new program, without code between fork and exec,
    which would be unsafe beside the threads of whatever runs the tests.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
