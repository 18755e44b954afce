"""The configuration models, with every default and limit.

A wrong value raises ConfigError naming the field and the limit, at construction and at assignment alike.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.functional_validators import ModelWrapValidatorHandler
from typing_extensions import Self

from ctxkit.config.problems import ALL_AT_ONCE, as_config_error
from ctxkit.records import Metric

STAGE_NAMES = ("fused", "neighbor", "asking", "speaker", "date", "recency", "importance")
_SECRET = re.compile("key|token$|secret|password|credential", re.IGNORECASE)
PASSWORD = re.compile(r"password\s*=|://[^/@\s]*:[^/@\s]*@", re.IGNORECASE)  # as in the address of a server
_UNSHOWN = re.compile(f"{_SECRET.pattern}|headers$|conninfo$", re.IGNORECASE)  # they may hold one
SectionT = TypeVar("SectionT", bound="Section")


def _whole(value: object) -> object:
    """Round a fractional token count up, so that `budget = capacity * 1.5` works for an odd capacity."""
    if isinstance(value, float) and math.isfinite(value):
        return math.ceil(value)
    return value


def _known_stages(names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse a stage that is neither one of ours nor importable by its name, and one that is named twice."""
    unknown = [name for name in names if name not in STAGE_NAMES and ":" not in name]
    if unknown:
        known = ", ".join(STAGE_NAMES)
        raise ValueError(f"there is no stage {', '.join(unknown)}; known are {known}, or module:function")
    if len(set(names)) < len(names):
        raise ValueError("a stage is named twice")
    return names


TokenCount = Annotated[int, BeforeValidator(_whole), Field(ge=1)]
Count = Annotated[int, Field(ge=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    """Base of the configuration sections: validated whenever a value is set."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, protected_namespaces=())
    place: ClassVar[str] = ""

    @model_validator(mode="wrap")
    @classmethod
    def _speak_plainly(cls, data: Any, handler: ModelWrapValidatorHandler[Self], info: ValidationInfo) -> Self:
        try:
            return handler(data)
        except ValidationError as exc:
            if info.context is ALL_AT_ONCE:
                raise
            raise as_config_error(exc, cls.place, cls.model_fields) from None

    @model_validator(mode="after")
    def _hide_secrets(self) -> Self:
        """Keep options that are named like a secret, and addresses with one, out of dumps; `options` has them."""
        for name, value in (self.model_extra or {}).items():
            if isinstance(value, str) and (_SECRET.search(name) or PASSWORD.search(value)):
                self.model_extra[name] = SecretStr(value)  # type: ignore[index]  # there is one, or no loop
        return self

    def options(self) -> dict[str, Any]:
        """Return the extra options that belong to the chosen component."""
        return {
            name: value.get_secret_value() if isinstance(value, SecretStr) else value
            for name, value in (self.model_extra or {}).items()
        }

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        # The options of a component are not ours to type as secrets, so what is named like one is not shown.
        for name, value in super().__repr_args__():
            yield name, "**********" if name is not None and _UNSHOWN.search(name) and value is not None else value


class MemoryConfig(Section):
    """How much is remembered where. Capacities, budgets and sizes are tokens.

    When the short-term view holds more than `stm_capacity`, its oldest turns leave it and are summarised; when
    `summary_fanout` summaries of one level have gathered, one of the level above is made of them. With `summarizer`
    "llm" the model of the section `llm` writes them; until it has, and where it fails, they are extractive.
    """

    place: ClassVar[str] = "memory"

    stm_capacity: TokenCount = Field(default=8000, description="tokens that the short-term view holds")
    chunk_size: TokenCount = Field(default=2000, description="tokens at least that leave a full view at once")
    recent_k: Count = Field(default=5, description="recent turns of a context, at most")
    ltm_hits_k: Count = Field(default=7, description="memories of a context, at most")
    prompt_token_budget: TokenCount = Field(default=12000, description="tokens of a context, at most")
    summary_compression_ratio: float = Field(
        default=0.3, gt=0, le=1, description="length of a summary, as a share of what it stands for"
    )
    ingestion_chunk_size: TokenCount = Field(default=400, description="tokens of a piece of a document")
    ingestion_chunk_overlap: Annotated[int, BeforeValidator(_whole), Field(ge=0)] = Field(
        default=50, description="tokens that two neighbouring pieces share"
    )
    similarity_weight: Weight = Field(default=1.0, description="what similarity adds to a memory's score")
    recency_weight: Weight = Field(default=0.0, description="what recency adds to it")
    importance_weight: Weight = Field(default=0.0, description="what importance adds to it")
    recency_half_life_seconds: Seconds = Field(default=604_800.0, description="seconds in which recency halves")
    embed_timeout: Seconds = Field(
        default=10.0, description="seconds to wait for an embedding; then a turn is stored without one"
    )
    summaries: Literal["background", "inline", "off"] = Field(
        default="background", description="when summaries are written: inline is before observe returns"
    )
    summarizer: Literal["extractive", "llm"] = Field(default="extractive", description="who writes them")
    summary_timeout: Seconds = Field(default=60.0, description="seconds that a model has for a summary")
    summary_fanout: Annotated[int, Field(ge=2)] = Field(
        default=8, description="summaries of one level that are summarised in turn"
    )


class RetrievalConfig(Section):
    """How candidates are found and scored; docs/retrieval.md says where the figures come from.

    A stage is named, or given as "module:function". A turn gains `neighbor_weights[i]` times the score of the messages
    i + 1 away in the same session (an observed turn is two messages). What stages gain and lose by asking, speaker and
    date is in standard deviations of the fused score.
    """

    place: ClassVar[str] = "retrieval"

    candidates: Count = Field(default=300, description="candidates that each search returns")
    stages: Annotated[tuple[str, ...], AfterValidator(_known_stages)] = Field(
        default=STAGE_NAMES, description="what adds to their scores, in this order"
    )
    lexical_weight: float = Field(
        default=0.55, ge=0, le=1, description="share of the text search in the fused score; the rest is the vectors'"
    )
    lexical_sharpness: float = Field(
        default=2.0, ge=1, le=8, description="power to which the text search's scores are raised"
    )
    neighbor_weights: tuple[Weight, ...] = Field(
        default=(0.3, 0.2, 0.15, 0.1), description="what a turn gains of its neighbours' scores, nearest first"
    )
    answer_weight: Weight = Field(default=0.2, description="what a turn gains of one before it that asks something")
    asking_weight: Weight = Field(default=1.0, description="what a turn loses that only asks")
    speaker_weight: Weight = Field(default=2.5, description="what a turn gains whose speaker the question names")
    date_weight: Weight = Field(default=3.0, description="what a turn gains from the period that the question names")


class LLMConfig(Section):
    """Which language model answers and summarises; extra options go to the chosen adapter."""

    model_config = ConfigDict(extra="allow")
    place: ClassVar[str] = "llm"

    provider: str = Field(default="openai", min_length=1, description="the adapter, by name")
    model: str = Field(default="gpt-4", min_length=1, description="the model, as its provider calls it")
    api_key: SecretStr | None = Field(default=None, description="the key; not from a file: set it in the environment")
    max_tokens: TokenCount = Field(default=1000, description="tokens of an answer, at most")
    temperature: float = Field(default=0.7, ge=0, le=1, description="how much chance there is in an answer")


class VectorStoreConfig(Section):
    """Where memories are kept; extra options go to the chosen backend.

    `dimension` counts only when it was set: otherwise the embedder's takes its place.
    """

    model_config = ConfigDict(extra="allow")
    place: ClassVar[str] = "vector_store"

    provider: str = Field(default="faiss", min_length=1, description="the backend, by name")
    index_type: Literal["Flat", "HNSW"] = Field(default="Flat", description="exact search, or an approximate index")
    metric: Metric = Field(default="cosine", description="how vectors are compared")
    dimension: int = Field(default=384, ge=1, le=65_536, description="length of the vectors; best left to the embedder")


class EmbedderConfig(Section):
    """Which model embeds text ("none": text search only); extra options go to the chosen embedder."""

    model_config = ConfigDict(extra="allow")
    place: ClassVar[str] = "embedder"

    provider: str = Field(default="static", min_length=1, description='the embedder, by name, or "none"')


class TokenizerConfig(Section):
    """Which tokenizer counts; extra options go to the chosen tokenizer."""

    model_config = ConfigDict(extra="allow")
    place: ClassVar[str] = "tokenizer"

    provider: str = Field(default="estimate", min_length=1, description="the tokenizer, by name")


class Config(Section):
    """Everything a context manager needs to know; every section has working defaults.

    With `debug`, the logger `ctxkit` passes on what is at least `log_level`, which then is DEBUG unless it was set.
    """

    memory: MemoryConfig = Field(default_factory=MemoryConfig)
    llm: LLMConfig = Field(default_factory=LLMConfig)
    vector_store: VectorStoreConfig = Field(default_factory=VectorStoreConfig)
    embedder: EmbedderConfig = Field(default_factory=EmbedderConfig)
    tokenizer: TokenizerConfig = Field(default_factory=TokenizerConfig)
    retrieval: RetrievalConfig = Field(default_factory=RetrievalConfig)
    debug: bool = Field(default=False, description="whether the logger passes on more than warnings")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        default="INFO", description="what it passes on at least"
    )

    _store: Path | None = PrivateAttr(default=None)

    @property
    def store(self) -> Path | None:
        """The folder of the store that `load` found named, in CTXKIT_STORE or as `store` in the file, else None."""
        return self._store

    @staticmethod
    def load(path: str | Path | None = None) -> Config:
        """Return the configuration of a file and the environment, whose variables win over the file.

        Without `path` the file is the one that CTXKIT_CONFIG names, else `ctxkit.toml`, or `[tool.ctxkit]` in
        `pyproject.toml`, in the working directory or the nearest folder above it; none is needed. Raises ConfigError
        that names the place of each wrong value.
        """
        from ctxkit.config.layers import STORE, read_layers  # noqa: PLC0415 - they import this module
        from ctxkit.config.variables import variable_of  # noqa: PLC0415

        layers = read_layers(path)
        config = layers.config()
        named = os.environ.get(variable_of((STORE,)), "").strip()
        config._store = Path(named) if named else layers.store  # noqa: SLF001 - of this very class
        return config
