"""The measurement: one manager for each conversation, which remembers it turn by turn and is then asked."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path

from ctxkit.errors import ConfigError
from ctxkit.interfaces import Tokenizer
from ctxkit.manager import ContextManager
from ctxkit.plugins import PluginRegistry
from ctxkit_conformance.bench.locomo.data import Asked, Conversation, Locomo
from ctxkit_conformance.bench.locomo.figures import Answer, LocomoReport, Result
from ctxkit_conformance.bench.locomo.setup import Components, Variant
from ctxkit_conformance.bench.machine import machine

Tell = Callable[[str, int, str], None]


def run(
    data: Locomo,
    components: Components,
    variants: Sequence[Variant],
    budgets: Sequence[int],
    registry: PluginRegistry,
    tell: Tell,
) -> LocomoReport:
    """Measure every variant under every budget; `tell(conversation, done, what)` hears how it goes.

    Raises ConfigError before anything is measured when there is no question, and whatever a component raises.
    """
    if not any(conversation.questions for conversation in data.conversations):
        raise ConfigError(f"{data.name} has no question of category 1 to 4.", fix="give LoCoMo's own file.")
    answers: dict[tuple[str, int], list[Answer]] = {}
    for conversation in data.conversations:
        with tempfile.TemporaryDirectory(prefix="ctxkit-bench-") as folder:
            for (name, budget), answer in _measured(
                conversation, components, variants, budgets, registry, Path(folder), tell
            ):
                answers.setdefault((name, budget), []).append(answer)
            gc.collect()  # before the folder goes, so that nothing holds a file in it
    results = [
        Result(variant.name, variant.hash(components), budget, variant.tried, tuple(answers[variant.name, budget]))
        for variant in variants
        for budget in budgets
    ]
    return LocomoReport(
        created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        machine=machine(None, [components.vector_store.name]),
        data=_described(data),
        settings={
            "embedder": components.embedder.text,
            "vector_store": components.vector_store.text,
            "tokenizer": components.tokenizer.text,
            "budgets": list(budgets),
        },
        results=results,
    )


def _measured(
    conversation: Conversation,
    components: Components,
    variants: Sequence[Variant],
    budgets: Sequence[int],
    registry: PluginRegistry,
    folder: Path,
    tell: Tell,
) -> Iterator[tuple[tuple[str, int], Answer]]:
    config = components.config(variants[0].retrieval)
    tokenizer = registry.create_tokenizer(components.tokenizer.name, dict(components.tokenizer.options))
    with ContextManager(config, path=folder, registry=registry) as manager:
        for done, turn in enumerate(conversation.turns, start=1):
            about = {
                "dia_id": turn.id,
                "session_id": turn.session,
                "speaker": turn.speaker,
                "timestamp": turn.timestamp,
            }
            manager.add_memory(turn.memory, about)
            tell(conversation.name, done, f"remembering {done} of {len(conversation.turns)} turns")
        manager.backfill_embeddings()
        for variant in variants:
            manager.config.retrieval = variant.retrieval
            for done, asked in enumerate(conversation.questions, start=1):
                tell(conversation.name, done, f"{variant.name}: {done} of {len(conversation.questions)} questions")
                for budget in budgets:
                    yield (variant.name, budget), _answer(manager, conversation.name, asked, budget, tokenizer)


def _answer(manager: ContextManager, name: str, asked: Asked, budget: int, tokenizer: Tokenizer) -> Answer:
    result = manager.build(asked.text, budget=budget)
    found = sum(text in result.text for text in asked.evidence)
    said = sum(row.tokens for row in result.kept("memory"))
    tokens = tokenizer.count(result.text)
    return Answer(name, asked.category, found / len(asked.evidence), tokens, tokens - said)


def _described(data: Locomo) -> dict[str, object]:
    return {
        "file": data.name,
        "sha256": data.sha256,
        "conversations": {
            each.name: {"turns": len(each.turns), "questions": len(each.questions)} for each in data.conversations
        },
    }
