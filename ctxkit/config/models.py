"""The configuration models, with every default and limit.

A wrong value raises ConfigError naming the field and the limit, at construction and at assignment alike.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    SecretStr,
    ValidationError,
    model_validator,
)
from typing_extensions import Self

from ctxkit.config.problems import as_config_error
from ctxkit.records import Metric

STAGE_NAMES = ("fused", "neighbor", "asking", "speaker", "date", "recency", "importance")
_SECRET = re.compile("key|token$|secret|password|credential", re.IGNORECASE)
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
    def _speak_plainly(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            return handler(data)
        except ValidationError as exc:
            raise as_config_error(exc, cls.place) from None

    @model_validator(mode="after")
    def _hide_secrets(self) -> Self:
        """Keep options that are named like a secret out of dumps too; `options` gives them back as they were."""
        for name, value in (self.model_extra or {}).items():
            if isinstance(value, str) and _SECRET.search(name):
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
            yield name, "**********" if name is not None and _SECRET.search(name) and value is not None else value


class MemoryConfig(Section):
    """How much is remembered where. Capacities, budgets and sizes are tokens.

    When the short-term view holds more than `stm_capacity`, its oldest turns, at least `chunk_size` of them, leave
    it and are summarised to `summary_compression_ratio` of their length. A context holds up to `recent_k` recent
    turns and `ltm_hits_k` memories within `prompt_token_budget`. The three weights scale what similarity, recency
    (halved every `recency_half_life_seconds`) and importance add to a memory's score. `embed_timeout` is how many
    seconds `observe` waits for an embedding before it stores the turn without one.

    `summaries` says when summaries are written: "background", "inline" (before `observe` returns) or "off" (turns leave
    the view without one). `summarizer` "llm" has the model of the section `llm` write them, each within
    `summary_timeout` seconds; until it has, and where it fails, they are extractive. When `summary_fanout` summaries of
    one level have gathered, one of the level above is made of them.
    """

    place: ClassVar[str] = "memory"

    stm_capacity: TokenCount = 8000
    chunk_size: TokenCount = 2000
    recent_k: Count = 5
    ltm_hits_k: Count = 7
    prompt_token_budget: TokenCount = 12000
    summary_compression_ratio: float = Field(default=0.3, gt=0, le=1)
    ingestion_chunk_size: TokenCount = 400
    ingestion_chunk_overlap: Annotated[int, BeforeValidator(_whole), Field(ge=0)] = 50
    similarity_weight: Weight = 1.0
    recency_weight: Weight = 0.0
    importance_weight: Weight = 0.0
    recency_half_life_seconds: Seconds = 604_800.0
    embed_timeout: Seconds = 10.0
    summaries: Literal["background", "inline", "off"] = "background"
    summarizer: Literal["extractive", "llm"] = "extractive"
    summary_timeout: Seconds = 60.0
    summary_fanout: Annotated[int, Field(ge=2)] = 8


class RetrievalConfig(Section):
    """How candidates are found and scored; docs/retrieval.md says where the figures come from.

    `candidates` is how many each search returns. `stages` are what adds to their scores, in this order, by name or as
    "module:function". `lexical_weight` is the share of the text search in the fused score, the rest is the vectors';
    the text search's scores are raised to `lexical_sharpness` first. A turn gains `neighbor_weights[i]` times the
    score of the messages i + 1 away in the same session (an observed turn is two messages), and `answer_weight` times
    that of a turn before it that asks something. What only asks loses `asking_weight`; what the person said whom the
    question names gains `speaker_weight`, what stands in the period that it names `date_weight`. These three are in
    standard deviations of the fused score.
    """

    place: ClassVar[str] = "retrieval"

    candidates: Count = 300
    stages: Annotated[tuple[str, ...], AfterValidator(_known_stages)] = STAGE_NAMES
    lexical_weight: float = Field(default=0.55, ge=0, le=1)
    lexical_sharpness: float = Field(default=2.0, ge=1, le=8)
    neighbor_weights: tuple[Weight, ...] = (0.3, 0.2, 0.15, 0.1)
    answer_weight: Weight = 0.2
    asking_weight: Weight = 1.0
    speaker_weight: Weight = 2.5
    date_weight: Weight = 3.0


class LLMConfig(Section):
    """Which language model answers and summarises; extra options go to the chosen adapter."""

    model_config = ConfigDict(extra="allow")
    place: ClassVar[str] = "llm"

    provider: str = Field(default="openai", min_length=1)
    model: str = Field(default="gpt-4", min_length=1)
    api_key: SecretStr | None = None
    max_tokens: TokenCount = 1000
    temperature: float = Field(default=0.7, ge=0, le=1)


class VectorStoreConfig(Section):
    """Where memories are kept; extra options go to the chosen backend.

    `dimension` counts only when it was set: otherwise the embedder's takes its place.
    """

    model_config = ConfigDict(extra="allow")
    place: ClassVar[str] = "vector_store"

    provider: str = Field(default="faiss", min_length=1)
    index_type: Literal["Flat", "HNSW"] = "Flat"
    metric: Metric = "cosine"
    dimension: int = Field(default=384, ge=1, le=65_536)


class EmbedderConfig(Section):
    """Which model embeds text ("none": text search only); extra options go to the chosen embedder."""

    model_config = ConfigDict(extra="allow")
    place: ClassVar[str] = "embedder"

    provider: str = Field(default="static", min_length=1)


class TokenizerConfig(Section):
    """Which tokenizer counts; extra options go to the chosen tokenizer."""

    model_config = ConfigDict(extra="allow")
    place: ClassVar[str] = "tokenizer"

    provider: str = Field(default="estimate", min_length=1)


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
    debug: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
