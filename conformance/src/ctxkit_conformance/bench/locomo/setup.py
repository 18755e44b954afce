"""What is measured: the components, the weights, and what is left out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Final

from ctxkit.config import Config, EmbedderConfig, MemoryConfig, RetrievalConfig, TokenizerConfig, VectorStoreConfig
from ctxkit.errors import ConfigError
from ctxkit_conformance.bench.naming import Named
from ctxkit_conformance.options import parsed_options

_HITS: Final = 200  # so many that the budget decides


def _no_stage(name: str) -> Callable[[RetrievalConfig], Mapping[str, Any]]:
    return lambda config: {"stages": tuple(stage for stage in config.stages if stage != name)}


SWITCHES: Final[Mapping[str, Callable[[RetrievalConfig], Mapping[str, Any]]]] = {
    "dense": lambda _: {"lexical_weight": 1.0},
    "lexical": lambda _: {"lexical_weight": 0.0},
    "sharpness": lambda _: {"lexical_sharpness": 1.0},
    "neighbors": _no_stage("neighbor"),
    "answers": lambda _: {"answer_weight": 0.0},
    "asking": _no_stage("asking"),
    "speaker": _no_stage("speaker"),
    "date": _no_stage("date"),
}
"""What can be left out, and the configuration without it."""


@dataclass(frozen=True)
class Components:
    """The components, as they were typed on the command line."""

    embedder: Named
    vector_store: Named
    tokenizer: Named

    def config(self, retrieval: RetrievalConfig) -> Config:
        """Return a manager's configuration."""
        return Config(
            memory=MemoryConfig(ltm_hits_k=_HITS),
            retrieval=retrieval,
            embedder=EmbedderConfig(provider=self.embedder.name, **self.embedder.options),
            vector_store=VectorStoreConfig(provider=self.vector_store.name, **self.vector_store.options),
            tokenizer=TokenizerConfig(provider=self.tokenizer.name, **self.tokenizer.options),
        )


@dataclass(frozen=True)
class Variant:
    """One configuration of retrieval; `tried` are those among which one may be chosen."""

    name: str
    retrieval: RetrievalConfig = field(default_factory=RetrievalConfig)
    tried: bool = False

    def hash(self, components: Components) -> str:
        """Return twelve hexadecimal digits that stand for everything that decides the figures but the data."""
        content = components.config(self.retrieval).model_dump(mode="json")
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]


def variants(without: list[str], tries: list[str], *, ablation: bool) -> list[Variant]:
    """Return what is to be measured, the main configuration first.

    `without` is left out everywhere. Each of `tries` is "option=value,value": every combination is measured. With
    `ablation` each switch follows, left out alone. Raises ConfigError for what is no switch, no option or no value.
    """
    unknown = [name for name in without if name not in SWITCHES]
    if unknown:
        raise ConfigError(f"nothing is called {', '.join(unknown)}.", fix=f"leave out one of {', '.join(SWITCHES)}.")
    base = RetrievalConfig()
    for name in without:
        base = _changed(base, SWITCHES[name](base))
    title = "all" if not without else f"without {', '.join(without)}"
    found = [Variant(title, base, tried=bool(tries))]
    for changes in _combinations(tries):
        retrieval = _changed(base, changes)
        if retrieval != base:
            label = ", ".join(f"{key}={value}" for key, value in changes.items())
            found.append(Variant(label, retrieval, tried=True))
    if ablation:
        rest = [name for name in SWITCHES if name not in without]
        found += [Variant(f"without {name}", _changed(base, SWITCHES[name](base))) for name in rest]
    return found


def _combinations(tries: Iterable[str]) -> Iterable[dict[str, Any]]:
    options: dict[str, list[Any]] = {}
    for each in tries:
        key, _, values = each.partition("=")
        options[key] = [parsed_options([f"{key}={value}"])[key] for value in values.split(",")] if key else []
    if not options:
        return []
    return (dict(zip(options, chosen, strict=True)) for chosen in product(*options.values()))


def _changed(config: RetrievalConfig, changes: Mapping[str, Any]) -> RetrievalConfig:
    return RetrievalConfig.model_validate({**config.model_dump(), **changes})
