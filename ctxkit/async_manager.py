"""AsyncContextManager: the same memory, for use inside an event loop."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial, wraps
from pathlib import Path
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, TypeVar

from typing_extensions import Self

from ctxkit.config import Config
from ctxkit.errors import StoreClosedError
from ctxkit.interfaces.call_threads import CallThreads, run_alone
from ctxkit.manager import ContextManager
from ctxkit.memory import LongTermMemory, ShortTermMemory
from ctxkit.plugins import PluginRegistry

ArgumentsT = ParamSpec("ArgumentsT")
ResultT = TypeVar("ResultT")
_Method = Callable[Concatenate["AsyncContextManager", ArgumentsT], Coroutine[Any, Any, ResultT]]


def _awaitable(
    method: Callable[Concatenate[ContextManager, ArgumentsT], ResultT], *, in_order: bool
) -> _Method[ArgumentsT, ResultT]:
    @wraps(method)
    async def call(self: AsyncContextManager, /, *args: ArgumentsT.args, **kwargs: ArgumentsT.kwargs) -> ResultT:
        return await self._calls.run(partial(method, self._manager, *args, **kwargs), in_order=in_order)

    return call


def _reading(method: Callable[Concatenate[ContextManager, ArgumentsT], ResultT]) -> _Method[ArgumentsT, ResultT]:
    """Return the method as an awaitable that overlaps with others."""
    return _awaitable(method, in_order=False)


def _writing(method: Callable[Concatenate[ContextManager, ArgumentsT], ResultT]) -> _Method[ArgumentsT, ResultT]:
    """Return the method as an awaitable that comes after every write called before it."""
    return _awaitable(method, in_order=True)


class AsyncContextManager:
    """Each method of `ContextManager` as an awaitable that takes, returns and raises the same.

    At most `threads` calls run at once, each in a thread: reads overlap, and an embedder that gathers callers gets
    their texts together. Writes go one after another in the order of the calls. A call that is cancelled while it
    runs goes on in its thread, so that what it writes is there whole. Callbacks are called in the threads too.
    Making one opens the store here and now; `await AsyncContextManager.open(...)` does so in a thread.
    """

    def __init__(  # noqa: PLR0913 - one argument for each part of a scope
        self,
        config: Config | None = None,
        *,
        path: str | Path | None = None,
        session_id: str | None = None,
        task_id: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        allow_cross_session: bool = False,
        allow_cross_task: bool = False,
        registry: PluginRegistry | None = None,
        threads: int = 8,
    ) -> None:
        self._manager = ContextManager(
            config,
            path=path,
            session_id=session_id,
            task_id=task_id,
            user_id=user_id,
            agent_id=agent_id,
            allow_cross_session=allow_cross_session,
            allow_cross_task=allow_cross_task,
            registry=registry,
        )
        self._calls = CallThreads("memory", threads, refusal=_closed)

    @classmethod
    async def open(cls, config: Config | None = None, **arguments: Any) -> Self:
        """Make one in a thread, with the constructor's arguments; cancelled, it is closed as soon as it is open."""

        def undo(made: Self) -> None:
            made._manager.close()

        return await run_alone("memory", partial(cls, config, **arguments), undo)

    @property
    def config(self) -> Config:
        """The configuration in use."""
        return self._manager.config

    @property
    def path(self) -> Path | None:
        """The folder of the store, None in memory."""
        return self._manager.path

    @property
    def short_term_memory(self) -> ShortTermMemory:
        """The newest turns of the session; its methods block."""
        return self._manager.short_term_memory

    @property
    def long_term_memory(self) -> LongTermMemory:
        """Everything in the scope; its methods block."""
        return self._manager.long_term_memory

    observe = _writing(ContextManager.observe)
    add_memory = _writing(ContextManager.add_memory)
    ingest_text = _writing(ContextManager.ingest_text)
    ingest_file = _writing(ContextManager.ingest_file)
    ingest_directory = _writing(ContextManager.ingest_directory)
    clear_memory = _writing(ContextManager.clear_memory)
    delete_memory = _writing(ContextManager.delete_memory)
    erase = _writing(ContextManager.erase)
    sweep = _writing(ContextManager.sweep)
    load_memory = _writing(ContextManager.load_memory)
    backfill_embeddings = _writing(ContextManager.backfill_embeddings)
    set_session = _writing(ContextManager.set_session)
    set_task = _writing(ContextManager.set_task)

    build = _reading(ContextManager.build)
    build_context = _reading(ContextManager.build_context)
    build_context_async = build_context
    build_messages = _reading(ContextManager.build_messages)
    query_memory = _reading(ContextManager.query_memory)
    get_memory = _reading(ContextManager.get_memory)
    list_memories = _reading(ContextManager.list_memories)
    save_memory = _reading(ContextManager.save_memory)
    debug_context_building = _reading(ContextManager.debug_context_building)
    get_stats = _reading(ContextManager.get_stats)

    async def close(self) -> None:
        """Wait for the calls that run, then release the store and the embedder; closing twice is fine."""
        await self._calls.close(self._manager.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"Async{self._manager!r}"


def _closed() -> StoreClosedError:
    return StoreClosedError("the memory was closed.", fix="make another AsyncContextManager.")
