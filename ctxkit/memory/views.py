"""Both memories of one scope, made together."""

from __future__ import annotations

from dataclasses import dataclass

from ctxkit.config import Config
from ctxkit.interfaces import Tokenizer
from ctxkit.memory.documents import Documents
from ctxkit.memory.long_term import LongTermMemory
from ctxkit.memory.scope import Scope
from ctxkit.memory.short_term import ShortTermMemory
from ctxkit.memory.vault import Vault


@dataclass(frozen=True, slots=True)
class View:
    """Everything that follows from one scope. A call reads it once, so that it never mixes two scopes."""

    scope: Scope
    short_term: ShortTermMemory
    long_term: LongTermMemory
    documents: Documents


def open_view(scope: Scope, vault: Vault, tokenizer: Tokenizer, config: Config) -> View:
    """Return what a scope shows of a vault."""
    thread = str(scope.thread(scope.stamp({}), conversation=True))
    short_term = ShortTermMemory(vault, tokenizer, thread=thread, max_tokens=config.memory.stm_capacity)
    long_term = LongTermMemory(config, scope=scope, vault=vault, hidden=short_term.ids_in_view, tokenizer=tokenizer)
    return View(scope, short_term, long_term, Documents(vault, scope, tokenizer, config.memory))
