"""How a context came about, under the names that users know."""

from __future__ import annotations

from typing import Any

from ctxkit.context.result import ContextResult


def account(result: ContextResult) -> dict[str, Any]:
    """Return what stands in a context, and the ledger of everything considered, as plain values."""
    recent, memories = result.kept("recent"), result.kept("memory")
    return {
        "user_input": result.question,
        "recent_turns_count": len(recent),
        "ltm_results_count": len(memories),
        "final_context_length": len(result.text),
        "final_context_tokens": result.tokens,
        "context_budget": result.budget,
        "recent_texts": [row.text for row in recent],
        "ltm_results": [(row.text, row.final) for row in memories],
        "parts": result.parts,
        "ledger": [row.as_dict() for row in result.ledger],
        "context": result.text,
    }
