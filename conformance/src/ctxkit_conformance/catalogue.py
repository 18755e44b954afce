"""All checks and all clauses of the contract, for reading."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import typer

from ctxkit.errors import ConfigError
from ctxkit_conformance.embedders import clauses as embedder_clauses
from ctxkit_conformance.embedders.contract import EmbedderContract
from ctxkit_conformance.llms import clauses as llm_clauses
from ctxkit_conformance.llms.contract import LLMContract
from ctxkit_conformance.marks import CONTRACT_VERSION, Clause, Marks, checks_of
from ctxkit_conformance.stores import clauses as store_clauses
from ctxkit_conformance.stores.contract import VectorStoreContract
from ctxkit_conformance.tokenizers import clauses as tokenizer_clauses
from ctxkit_conformance.tokenizers.contract import TokenizerContract

CONTRACTS: Final[Mapping[str, type]] = {
    "vector_store": VectorStoreContract,
    "embedder": EmbedderContract,
    "tokenizer": TokenizerContract,
    "llm": LLMContract,
}
_CLAUSES: Final = {
    "VectorStore": store_clauses,
    "Embedder": embedder_clauses,
    "Tokenizer": tokenizer_clauses,
    "LLM": llm_clauses,
}
_LEAD: Final = f"""# The contract

What each kind of component owes its users, sentence by sentence, version {CONTRACT_VERSION}. Every sentence is covered
by checks of `ctxkit conformance run`, which names it when one of them fails; `ctxkit conformance checks` lists them.
"""


def clauses() -> dict[str, list[Clause]]:
    """Return the clauses of each interface, in the order in which they are written."""
    return {
        title: [value for value in vars(module).values() if isinstance(value, Clause)]
        for title, module in _CLAUSES.items()
    }


def checks(kind: str = "") -> dict[str, list[Marks]]:
    """Return the checks by kind; raises ConfigError for an unknown kind."""
    wanted = kind.replace("-", "_")
    if wanted and wanted not in CONTRACTS:
        raise ConfigError(f"there is no kind {kind!r}.", fix=f"choose one of {', '.join(CONTRACTS)}.")
    chosen = {wanted: CONTRACTS[wanted]} if wanted else CONTRACTS
    return {name: list(checks_of(owner).values()) for name, owner in chosen.items()}


def contract_page() -> str:
    """Return docs/contract.md: every clause, the checks that cover it, and what to do when one fails."""
    covering: dict[str, list[str]] = {}
    for found in checks().values():
        for marks in found:
            for clause in marks.clauses:
                covering.setdefault(clause.name, []).append(f"`{marks.name}`")
    return "\n".join([_LEAD, *_sections(covering)]) + "\n"


def _sections(covering: Mapping[str, list[str]]) -> Iterator[str]:
    for title, found in clauses().items():
        yield f"## {title}\n"
        for clause in found:
            yield f"### {clause.name}\n\n{clause.sentence}\n"
            yield f"*When a check fails:* {clause.advice}\n"
            yield f"*Checks:* {', '.join(covering.get(clause.name, ['none']))}\n"


def show_contract(name: str) -> None:
    """Print the contract, or one clause; raises ConfigError for an unknown one."""
    if not name:
        typer.echo(contract_page(), nl=False)
        return
    known = {clause.name: clause for found in clauses().values() for clause in found}
    if name not in known:
        raise ConfigError(f"the contract has no clause {name!r}.", fix=f"choose one of {', '.join(known)}.")
    clause = known[name]
    typer.echo(f"{clause.name}\n\n{clause.sentence}\n\nWhen a check fails: {clause.advice}")


def show_checks(kind: str) -> None:
    """Print the checks, a paragraph each."""
    for name, found in checks(kind).items():
        typer.echo(f"{name}: {len(found)} checks\n")
        for marks in found:
            covered = ", ".join(clause.name for clause in marks.clauses)
            typer.echo(f"  {marks.tier:4}{marks.name}  [{covered}]\n      {marks.meaning}")
        typer.echo("")
