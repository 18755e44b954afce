"""The service: observe, context, query and erase, each in the scope of whoever the token belongs to."""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, Field

from ctxkit import AsyncContextManager, Config, CtxkitError
from ctxkit.errors import BudgetTooSmallError, InvalidQueryError, InvalidRecordError

from .memories import Memories, read_tokens

_log = logging.getLogger(__name__)
_CALLERS_FAULT = (BudgetTooSmallError, InvalidQueryError, InvalidRecordError)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep the memories open while the service runs; leaving waits for the calls that are under way."""
    tokens = read_tokens(os.environ.get("MEMORY_TOKENS", ""))
    path = os.environ.get("MEMORY_PATH", "service-memory") or None  # empty for a store that is no folder
    async with aclosing(Memories(Config.load(), path, tokens)) as memories:
        app.state.memories = memories
        yield


app = FastAPI(title="Memory", lifespan=lifespan)


async def own_memory(
    request: Request, bearer: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]
) -> AsyncContextManager:
    """Return the memory of the token's user: the only way to one, so that no handler can ask for another's."""
    memories: Memories = request.app.state.memories
    user = memories.user_of(bearer.credentials)
    if user is None:
        raise HTTPException(401, "this token is nobody's", headers={"WWW-Authenticate": "Bearer"})
    return await memories.of(user)


OwnMemory = Annotated[AsyncContextManager, Depends(own_memory)]


class Turn(BaseModel):
    """One exchange; with a `turn_id` of the caller's it may be sent again after a lost connection."""

    user: str
    assistant: str
    session: str | None = Field(default=None, min_length=1)
    turn_id: str | None = Field(default=None, min_length=1)


class Question(BaseModel):
    """What a context is for, and how many tokens it may have."""

    question: str
    budget: int = Field(default=4000, ge=1, le=100_000)


class Query(BaseModel):
    """What to look for, and how many hits at most."""

    text: str
    k: int = Field(default=5, ge=1, le=100)


@app.post("/turns", status_code=201)
async def observe(turn: Turn, memory: OwnMemory) -> dict[str, str]:
    """Store a turn; it is durable when the answer comes."""
    session = {"session_id": turn.session} if turn.session else None
    return {"id": await memory.observe(turn.user, turn.assistant, turn_id=turn.turn_id, metadata=session)}


@app.post("/context")
async def context(asked: Question, memory: OwnMemory) -> dict[str, Any]:
    """Return the context of a question as text and as the messages of a chat."""
    result = await memory.build(asked.question, budget=asked.budget)
    return {"text": result.text, "messages": result.messages, "tokens": result.tokens, "parts": result.parts}


@app.post("/query")
async def query(asked: Query, memory: OwnMemory) -> list[dict[str, Any]]:
    """Return the memories that fit a text best."""
    return [{"text": text, "score": score} for text, score in await memory.query_memory(asked.text, asked.k)]


@app.delete("/memories/{memory_id}")
async def erase(memory_id: str, memory: OwnMemory) -> dict[str, Any]:
    """Erase one memory for good, and say what went with it."""
    if await memory.get_memory(memory_id) is None:
        raise HTTPException(404, "there is no such memory")
    return (await memory.erase(memory_id)).as_dict()


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the service answers; needs no token and tells nothing of anybody's memory."""
    return {"status": "ok"}


@app.exception_handler(CtxkitError)
async def explain(_request: Request, error: Exception) -> JSONResponse:
    """Tell the caller what it can mend; what it cannot, such as a full disk, is for the log alone."""
    if isinstance(error, _CALLERS_FAULT):
        return JSONResponse({"detail": error.message, "fix": error.fix}, status_code=422)
    _log.error("%s", error)
    return JSONResponse({"detail": "memory cannot be used now"}, status_code=503, headers={"Retry-After": "5"})
