"""Who asks, by the token in the request's header, and that user's memory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping

from ctxkit import AsyncContextManager, Config


def read_tokens(text: str) -> dict[str, str]:
    """Return each user's token from "user=token,user=token"; raises ValueError for what is no such list."""
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if not pairs or not all(user and token for user, _, token in pairs):
        raise ValueError("set MEMORY_TOKENS to user=token,user=token")
    return {user: token for user, _, token in pairs}


class Memories:
    """One memory for each user who has a token, opened when it is first asked for and kept until the service ends."""

    def __init__(self, config: Config, path: str | None, tokens: Mapping[str, str]) -> None:
        self._config = config
        self._path = path
        self._tokens = tokens
        self._open: dict[str, AsyncContextManager] = {}
        self._lock = asyncio.Lock()

    def user_of(self, token: str) -> str | None:
        """Return whose token it is; every one is compared, in a time that tells nothing of it."""
        matches = [
            user for user, known in self._tokens.items() if secrets.compare_digest(known.encode(), token.encode())
        ]
        return matches[0] if matches else None

    async def of(self, user: str) -> AsyncContextManager:
        """Return a user's memory."""
        async with self._lock:  # two first requests of one user open one memory
            if user not in self._open:
                self._open[user] = await AsyncContextManager.open(self._config, path=self._path, user_id=user)
            return self._open[user]

    async def aclose(self) -> None:
        """Close every memory, after the calls that are under way."""
        for memory in self._open.values():
            await memory.close()
