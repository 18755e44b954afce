"""The first half of the demonstration: a conversation goes into a store, far more than the short-term view holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ctxkit.config import Config, MemoryConfig
from ctxkit.demo.documentation import documents
from ctxkit.demo.script import MEMORY, ScriptTurn, load_turns
from ctxkit.ingest import IngestReport
from ctxkit.manager import ContextManager
from ctxkit.memory.entries import turn_text
from ctxkit.plugins import PluginRegistry
from ctxkit.tokens import TokenCounter

Progress: TypeAlias = Callable[[int, int, object], None]


@dataclass(frozen=True, slots=True)
class Remembered:
    """What was stored. `turn_of` maps a record's id to the turn that it holds; tokens are the tokenizer's counts."""

    turns: int
    tokens: int
    capacity: int
    turn_of: dict[str, ScriptTurn]
    in_view: frozenset[str]
    view_tokens: int
    documentation: IngestReport
    stats: dict[str, Any] = field(default_factory=dict)

    @property
    def evicted(self) -> frozenset[str]:
        """The ids (of the script) of the turns that left the short-term view."""
        return frozenset(turn.turn_id for record, turn in self.turn_of.items() if record not in self.in_view)


def configuration() -> Config:
    """Return the configuration under which the demonstration runs; the components are the defaults."""
    return Config(memory=MemoryConfig(**MEMORY))


def remember(store: Path, registry: PluginRegistry, *, observed: Progress, ingested: Progress) -> Remembered:
    """Observe the whole conversation, ingest the documentation, and close the store."""
    turns = load_turns()
    config = configuration()
    counter = TokenCounter(config.tokenizer.provider, registry=registry)
    turn_of: dict[str, ScriptTurn] = {}
    tokens = 0
    with ContextManager(config, path=store, registry=registry) as manager:
        for done, turn in enumerate(turns, start=1):
            record = manager.observe(turn.user, turn.assistant, turn_id=turn.turn_id, timestamp=turn.timestamp)
            turn_of[record] = turn
            tokens += counter.count_tokens(turn_text(turn.user, turn.assistant))
            observed(done, len(turns), turn.turn_id)
        report = IngestReport()
        pages = documents()
        for done, (name, text) in enumerate(pages.items(), start=1):
            report.add(manager.ingest_text(text, source_id=name))
            ingested(done, len(pages), name)
        view = manager.short_term_memory
        return Remembered(
            turns=len(turns),
            tokens=tokens,
            capacity=view.max_tokens,
            turn_of=turn_of,
            in_view=frozenset(turn.id for turn in view.turns),
            view_tokens=view.current_tokens,
            documentation=report,
            stats=manager.get_stats(),
        )


def remember_files(store: Path, registry: PluginRegistry, path: Path, *, ingested: Progress) -> IngestReport:
    """Ingest a file or a folder and close the store; raises IngestError when there is no such path."""
    with ContextManager(configuration(), path=store, registry=registry) as manager:
        if path.is_dir():
            return manager.ingest_directory(path, progress=ingested)
        return manager.ingest_file(path)
