"""What each kind of component can declare that it does; importing this imports neither numpy nor pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from ctxkit.interfaces.values import CheckedValue, Rule, flag, number, one_of, optional, some_of

if TYPE_CHECKING:
    from ctxkit.records import Metric

# The words of ctxkit.records.Metric and ctxkit.filters.OPERATORS, whose modules import numpy.
METRICS: frozenset[Metric] = frozenset({"cosine", "dot", "l2"})
FILTER_OPERATORS = frozenset(
    {
        "$and",
        "$contains",
        "$eq",
        "$exists",
        "$gt",
        "$gte",
        "$in",
        "$lt",
        "$lte",
        "$ne",
        "$nin",
        "$not",
        "$or",
    }
)


class Capabilities(CheckedValue):
    """What a vector store can do; declared means it works and is tested, absent means it raises.

    `exact`: `query` returns the true nearest neighbours. `crash_safe`: what was acknowledged survives a killed
    process. `text_search`: "bm25" (positive scores), "rank" (only the order) or None. `concurrency`: who may
    open one store at once. `consistency_bound`: seconds until a write is seen, for "eventual".
    """

    metrics: frozenset[Metric]
    exact: bool
    persistent: bool = False
    crash_safe: bool = False
    detects_corruption: bool = False
    optional_vectors: bool = False
    text_search: Literal["bm25", "rank"] | None = None
    ordered_scan: bool = False
    filter_operators: frozenset[str] = FILTER_OPERATORS
    concurrency: Literal["single-process", "single-writer", "multi-writer"] = "single-process"
    native_async: bool = False
    max_batch: int | None = None
    min_dimension: int = 1
    consistency: Literal["immediate", "eventual"] = "immediate"
    consistency_bound: float = 0.0

    rules: ClassVar[Mapping[str, Rule]] = {
        "metrics": some_of(METRICS),
        "exact": flag,
        "persistent": flag,
        "crash_safe": flag,
        "detects_corruption": flag,
        "optional_vectors": flag,
        "text_search": optional(one_of("bm25", "rank")),
        "ordered_scan": flag,
        "filter_operators": some_of(FILTER_OPERATORS),
        "concurrency": one_of("single-process", "single-writer", "multi-writer"),
        "native_async": flag,
        "max_batch": optional(number(least=1)),
        "min_dimension": number(least=1),
        "consistency": one_of("immediate", "eventual"),
        "consistency_bound": number(float, least=0),
    }


class EmbedderCapabilities(CheckedValue):
    """What an embedder can do under its default configuration.

    `dimension`: length of its vectors (None: known once the model is loaded). `offline`: never touches the
    network. `costs`: a call costs money or much time, so results are worth caching. `semantic`: what says the same is
    near; without it, what is spelled alike.
    """

    dimension: int | None = None
    normalized: bool = True
    offline: bool = True
    costs: bool = False
    truncates: bool = True
    semantic: bool = True

    rules: ClassVar[Mapping[str, Rule]] = {
        "dimension": optional(number(least=1)),
        "normalized": flag,
        "offline": flag,
        "costs": flag,
        "truncates": flag,
        "semantic": flag,
    }


class TokenizerCapabilities(CheckedValue):
    """What a tokenizer can do: `exact` counts a model's own tokens, `encodes` offers encode and decode."""

    exact: bool
    encodes: bool = False

    rules: ClassVar[Mapping[str, Rule]] = {"exact": flag, "encodes": flag}


class LLMCapabilities(CheckedValue):
    """What a language model adapter can do under its default configuration."""

    streams: bool = True
    native_async: bool = False
    offline: bool = False

    rules: ClassVar[Mapping[str, Rule]] = {"streams": flag, "native_async": flag, "offline": flag}
