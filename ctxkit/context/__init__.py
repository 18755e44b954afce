"""One prompt under a token budget: what goes in, how it reads, and an account of everything left out."""

from __future__ import annotations

from ctxkit.context.budget import Purse
from ctxkit.context.builder import build, check_question
from ctxkit.context.ledger import LedgerRow
from ctxkit.context.result import ContextResult

__all__ = ["ContextResult", "LedgerRow", "Purse", "build", "check_question"]
