"""The values with which plugins announce themselves: checked, immutable, and the same as JSON."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any, get_args

import pytest

from ctxkit import interfaces, local
from ctxkit.filters import OPERATORS
from ctxkit.interfaces import (
    BackendSpec,
    Capabilities,
    EmbedderCapabilities,
    InvalidValueError,
    LLMCapabilities,
    TokenizerCapabilities,
)
from ctxkit.interfaces.capabilities import FILTER_OPERATORS, METRICS
from ctxkit.interfaces.values import CheckedValue
from ctxkit.records import Metric

SPEC: dict[str, Any] = {
    "name": "acme",
    "factory": "acme.store:Store",
    "config": "acme.config:Config",
    "summary": "for tests",
    "capabilities": EmbedderCapabilities(dimension=8),
}
VALUES: tuple[CheckedValue, ...] = (
    Capabilities(metrics=frozenset({"dot"}), exact=False, max_batch=10, text_search="rank", consistency_bound=1),
    EmbedderCapabilities(),
    TokenizerCapabilities(exact=True, encodes=True),
    LLMCapabilities(offline=True),
)


def test_the_words_are_those_of_records_and_filters() -> None:
    """The light copies of the metrics and the operators are what the heavy modules say."""
    assert frozenset(get_args(Metric)) == METRICS
    assert FILTER_OPERATORS == OPERATORS


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_round_trip(value: CheckedValue) -> None:
    """JSON and back, a dict and back, a copy and a deep copy are all the same value."""
    kind = type(value)
    assert kind.model_validate_json(value.model_dump_json()) == value
    assert kind.model_validate(value.model_dump()) == value
    assert kind.model_validate(value) is value
    assert value.model_copy() == copy.deepcopy(value) == value
    assert hash(value.model_copy()) == hash(value)
    assert eval(repr(value)) == value  # noqa: S307 - the text is ours


def test_values_differ() -> None:
    """Another field or another class is another value."""
    value = LLMCapabilities()
    assert value.model_copy(update={"offline": True}) != value
    assert value != EmbedderCapabilities()
    assert value != value.model_dump()


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_immutable(value: CheckedValue) -> None:
    """Nothing can be set, added or deleted."""
    name = next(iter(value.rules))
    before = value.model_dump()
    for field in (name, "new"):
        with pytest.raises(AttributeError, match="immutable"):
            setattr(value, field, True)
    with pytest.raises(AttributeError, match="immutable"):
        delattr(value, name)
    assert value.model_dump() == before


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"metrics": {"manhattan"}}, "metrics: manhattan"),
        ({"metrics": "cosine"}, "metrics: must be a frozenset"),
        ({"exact": 1}, "exact: must be True or False"),
        ({"text_search": "fuzzy"}, "text_search: must be one of bm25, rank"),
        ({"filter_operators": ["$near"]}, "filter_operators: \\$near"),
        ({"max_batch": 0}, "max_batch: must be at least 1"),
        ({"max_batch": True}, "max_batch: must be of type int"),
        ({"min_dimension": 1.5}, "min_dimension: must be of type int"),
        ({"consistency_bound": float("nan")}, "consistency_bound: must be at least 0"),
        ({"concurrency": "many"}, "concurrency: must be one of"),
        ({"colour": "red"}, "colour: there is no such field"),
        ({"exact": None, "max_batch": -1}, "exact: .*max_batch: "),
    ],
)
def test_wrong_capabilities(changes: dict[str, Any], says: str) -> None:
    """Each wrong field is named, with what it has to be."""
    with pytest.raises(InvalidValueError, match=f"Capabilities.{says}"):
        Capabilities(**{"metrics": {"dot"}, "exact": True, **changes})
    with pytest.raises(ValueError, match="exact: is missing"):
        Capabilities.model_validate({"metrics": ["dot"]})


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": "NO GOOD"}, "name: must match"),
        ({"name": ""}, "name: must not be empty"),
        ({"name": "acme\n"}, "name: must match"),
        ({"factory": "no colon"}, "factory: must match"),
        ({"config": 3}, "config: must be a str"),
        ({"summary": ""}, "summary: must not be empty"),
        ({"capabilities": {"dimension": 8}}, "capabilities: must be CheckedValue"),
        ({"requires": "faiss"}, "requires: must be a tuple of str"),
        ({"requires": (1,)}, "requires: must be a tuple of str"),
        ({"async_factory": "x"}, "async_factory: must match"),
        ({"spec_version": "1"}, "spec_version: must be of type int"),
        ({"later_field": 1}, "later_field: there is no such field"),
    ],
)
def test_wrong_specifications(changes: dict[str, Any], says: str) -> None:
    """Each wrong field of a specification is named."""
    with pytest.raises(InvalidValueError, match=f"BackendSpec.{says}"):
        BackendSpec(**{**SPEC, **changes})


def test_specifications_of_a_later_version() -> None:
    """Fields that only a later version has are left out, so that the version can be read and refused by discovery."""
    spec = BackendSpec(**{**SPEC, "spec_version": 2, "later_field": 1, "requires": ["faiss"]})
    assert (spec.spec_version, spec.requires) == (2, ("faiss",))
    assert spec.model_dump(mode="json")["capabilities"]["dimension"] == 8


@pytest.mark.parametrize("facade", [interfaces, local], ids=["interfaces", "local"])
def test_facades(facade: Any) -> None:
    """What the lazy packages export exists, is listed, and anything else is an AttributeError."""
    assert all(getattr(facade, name) is not None for name in facade.__all__)
    assert set(facade.__all__) <= set(dir(facade))
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = facade.Nothing


def test_announcing_is_light() -> None:
    """What a plugin's entry point needs imports neither numpy nor pydantic."""
    program = (
        "import sys\nfrom ctxkit.hookspecs import hookimpl\nfrom ctxkit.interfaces import BackendSpec, Capabilities\n"
        "from ctxkit.local import local_capabilities\nlocal_capabilities(durable=True)\n"
        "print([name for name in ('numpy', 'pydantic', 'typer') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
