"""A loaded model: the only module that imports sentence_transformers and torch."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from ctxkit.errors import EmbedderError
from ctxkit.interfaces.loading import out_of_memory
from ctxkit.records import FloatVectors
from ctxkit_sentence_transformers.config import SentenceTransformersConfig
from ctxkit_sentence_transformers.description import is_normalized
from ctxkit_sentence_transformers.failures import NAME, failed, load_failure
from ctxkit_sentence_transformers.files import onnx_file
from ctxkit_sentence_transformers.lengths import like_lengths

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

_ENDLESS: Final = 1_000_000  # a tokenizer without a limit names a number beyond any
_ROUTERS: Final = frozenset({"Asym", "Router"})


class Encoder:
    """Texts to vectors with a model of a folder; not for several threads at once. Raises EmbedderError."""

    def __init__(self, folder: Path, config: SentenceTransformersConfig) -> None:
        self._config = config
        self._model = _load(folder, config)
        # A second scaling would change the last bits, and with them what `normalize` is said to change.
        self._scales = config.normalize and not (is_normalized(folder) and config.dimension is None)
        prompts = self._model.prompts
        routed = any(type(module).__name__ in _ROUTERS for module in self._model)
        self._one_route = not routed and prompts.get("query") == prompts.get("document")
        self._on_processor = self._model.device.type == "cpu"
        self.dimension = self._found_dimension()
        self.max_tokens = _max_tokens(self._model)

    def route(self, purpose: Literal["document", "query"]) -> str:
        """Return which texts may share a batch: documents and queries may where the model makes no difference."""
        return "document" if self._one_route else purpose

    def encode(self, route: str, texts: list[str]) -> FloatVectors:
        """Return finite float32 of shape (len(texts), dimension)."""
        groups = like_lengths(texts) if self._on_processor else [list(range(len(texts)))]
        try:
            made = [self._passed(route, [texts[place] for place in places]) for places in groups]
        except Exception as exc:
            raise _embedding_failure(exc, self._config) from exc
        rows = np.empty((len(texts), made[0].shape[1]), np.float32)
        for places, part in zip(groups, made, strict=True):
            rows[places] = part
        if not np.isfinite(rows).all():
            raise EmbedderError(
                f"the model {self._config.model!r} made a vector with NaN or infinity.",
                fix="use backend 'torch' on device 'cpu', or another model.",
                backend=NAME,
            )
        return _with_direction(rows) if self._config.normalize else rows

    def _passed(self, route: str, texts: list[str]) -> FloatVectors:
        """Return what the library makes of texts that go through the model together."""
        encode = self._model.encode_query if route == "query" else self._model.encode_document
        # Quantised activations share their scale in a batch, so there a vector would depend on its neighbours.
        size = 1 if self._config.backend == "onnx-int8" else len(texts)
        made = encode(texts, batch_size=size, show_progress_bar=False, normalize_embeddings=self._scales)
        return np.asarray(made, np.float32)

    def use_one_thread(self) -> None:
        """Compute in the calling thread only: in a forked child OpenMP would wait for threads that are gone."""
        import torch  # noqa: PLC0415 - seconds, but it is there already

        torch.set_num_threads(1)

    def _found_dimension(self) -> int:
        found = self.encode("document", ["How long is a vector?"]).shape[1]
        if self._config.dimension not in {None, found}:
            raise EmbedderError(
                f"the vectors of {self._config.model!r} have {found} components, fewer than dimension ="
                f" {self._config.dimension}.",
                fix="correct the option dimension, or leave it out.",
                backend=NAME,
            )
        return int(found)


def _load(folder: Path, config: SentenceTransformersConfig) -> SentenceTransformer:
    onnx = onnx_file(config)
    if onnx is not None and (importlib.util.find_spec("optimum") is None or not _has("onnxruntime")):
        raise EmbedderError(
            f"Failed to load embedding model {config.model!r} (library): the backend {config.backend!r} needs optimum"
            " and onnxruntime, which are not installed.",
            fix="pip install 'ctxkit-sentence-transformers[onnx]', or use backend 'torch'.",
            backend=NAME,
        )
    if config.backend == "onnx-int8" and not (folder / str(onnx)).is_file():
        raise failed(config.model, "name", f"it has no {onnx}, the file of int8 weights for this kind of processor.")
    prompts = {"query": config.query_prompt, "document": config.document_prompt}
    try:
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415 - seconds, so at the first use

        with _quiet():
            return SentenceTransformer(
                str(folder),
                device=config.device,
                prompts={name: prompt for name, prompt in prompts.items() if prompt is not None},
                local_files_only=True,
                trust_remote_code=config.trust_remote_code,
                truncate_dim=config.dimension,
                backend="torch" if onnx is None else "onnx",
                model_kwargs=None if onnx is None else _onnx_options(folder, onnx, config),
            )
    except Exception as exc:
        raise load_failure(exc, config.model) from exc


def _onnx_options(folder: Path, onnx: str, config: SentenceTransformersConfig) -> dict[str, Any]:
    on_gpu = (config.device or "cpu").startswith("cuda")
    options = {"provider": "CUDAExecutionProvider" if on_gpu else "CPUExecutionProvider"}
    return {**options, "file_name": onnx} if (folder / onnx).is_file() else options


def _has(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


@contextmanager
def _quiet() -> Iterator[None]:
    """Show no bar for weights that are read from the disk, and leave the user's own setting as it was."""
    logging: Any = importlib.import_module("transformers.utils.logging")
    shown = logging.is_progress_bar_enabled()
    if shown:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _max_tokens(model: SentenceTransformer) -> int | None:
    """Return how many tokens of a text count: what the model takes, without marks at the ends and the prompt."""
    limit = model.max_seq_length
    if limit is None or limit > _ENDLESS:
        return None
    tokenizer: Any = model.tokenizer
    try:
        marks = int(tokenizer.num_special_tokens_to_add(pair=False))
        longest = max((len(tokenizer.tokenize(prompt)) for prompt in model.prompts.values() if prompt), default=0)
    except (AttributeError, TypeError):  # a tokenizer of another kind, which adds nothing
        return int(limit)
    return max(1, int(limit) - marks - longest)


def _with_direction(rows: FloatVectors) -> FloatVectors:
    """Give rows without a direction one: a text of which nothing counts has the zero vector in some models."""
    empty = ~rows.any(axis=1)
    if empty.any():
        rows = rows.copy()
        rows[empty] = 1 / np.sqrt(rows.shape[1])
    return rows


def _embedding_failure(exc: Exception, config: SentenceTransformersConfig) -> EmbedderError:
    if out_of_memory(exc):
        return EmbedderError(
            f"there is not enough memory to embed {config.batch_size} texts at once with {config.model!r}.",
            fix="lower batch_size, choose a smaller model, or use provider 'static'.",
            backend=NAME,
        )
    return EmbedderError(
        f"the model {config.model!r} failed with {type(exc).__name__}.",
        fix="see the cause of this error.",
        backend=NAME,
    )
