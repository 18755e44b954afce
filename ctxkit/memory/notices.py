"""Lines of log that a process says once."""

from __future__ import annotations

import logging
import threading


class Once:
    """Says something as a WARNING the first time only."""

    def __init__(self, logger: logging.Logger, message: str) -> None:
        self._logger = logger
        self._message: str | None = message
        self._lock = threading.Lock()

    def say(self) -> None:
        """Say it, unless it was said before."""
        with self._lock:
            message, self._message = self._message, None
        if message is not None:
            self._logger.warning("%s", message)
