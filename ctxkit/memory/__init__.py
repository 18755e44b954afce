"""Short-term and long-term memory: two views of one durable store."""

from __future__ import annotations

from ctxkit.memory.entries import Entry, Turn
from ctxkit.memory.long_term import LongTermMemory
from ctxkit.memory.patience import PatientEmbedder
from ctxkit.memory.scope import Scope
from ctxkit.memory.short_term import ShortTermMemory
from ctxkit.memory.vault import Vault

__all__ = ["Entry", "LongTermMemory", "PatientEmbedder", "Scope", "ShortTermMemory", "Turn", "Vault"]
