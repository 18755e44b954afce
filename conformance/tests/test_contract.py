"""The contract as a whole: every sentence is covered, every check says what it means, and the page is up to date."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from ctxkit_conformance.catalogue import CONTRACTS, checks, clauses, contract_page
from ctxkit_conformance.levels import LEVELS

from ctxkit.errors import ConfigError

PAGE = Path(__file__).parents[2] / "docs" / "contract.md"
SHARED = {
    "object",
    "ComponentChecks",
    "StoreChecks",
    "ElsewhereChecks",
    "EmbedderChecks",
    "TokenizerChecks",
    "LLMChecks",
}
SETTINGS = {"tier", "faces", "patience"}


def test_the_page_is_up_to_date() -> None:
    """docs/contract.md is what `ctxkit conformance contract` prints."""
    assert PAGE.read_text(encoding="utf-8") == contract_page()


def test_every_clause_has_a_name_of_its_own_and_a_check() -> None:
    """A sentence that nothing covers is a wish; two sentences of one name cannot be told apart."""
    every = [clause for found in clauses().values() for clause in found]
    assert [name for name, count in Counter(clause.name for clause in every).items() if count > 1] == []
    covered = {clause.name for found in checks().values() for marks in found for clause in marks.clauses}
    assert [clause.name for clause in every if clause.name not in covered] == []


@pytest.mark.parametrize("kind", CONTRACTS)
def test_every_check_says_what_it_means(kind: str) -> None:
    """Name, tier, clause, and what a failure costs a user."""
    (found,) = checks(kind).values()
    assert len(found) == len({marks.name for marks in found})
    for marks in found:
        assert marks.meaning.startswith("A failure means "), marks.name
        assert marks.clauses, marks.name
        assert marks.tier, marks.name


@pytest.mark.parametrize("kind", CONTRACTS)
def test_every_tier_counts_for_a_level(kind: str) -> None:
    """No check is there that no level asks for, and no level asks for a tier without checks."""
    (found,) = checks(kind).values()
    assert {marks.tier for marks in found} == set().union(*(level.tiers for level in LEVELS[kind]))


@pytest.mark.parametrize("kind", CONTRACTS)
def test_no_group_hides_another(kind: str) -> None:
    """The groups become one class: a name that two of them use would silently replace one."""
    owners: dict[str, list[str]] = {}
    for group in CONTRACTS[kind].__mro__[1:]:
        if group.__name__ not in SHARED:
            for name in vars(group):
                if not name.startswith("__") and name not in SETTINGS:
                    owners.setdefault(name, []).append(group.__name__)
    assert {name: groups for name, groups in owners.items() if len(groups) > 1} == {}


def test_an_unknown_kind_is_refused() -> None:
    """A mistyped kind lists what there is."""
    with pytest.raises(ConfigError, match="vector_store"):
        checks("vectors")
