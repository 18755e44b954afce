"""What a user can set on the sentence-transformers embedder."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from ctxkit.interfaces import BackendConfig, EmbedderCapabilities
from ctxkit.interfaces.loading import told_offline
from ctxkit_sentence_transformers.catalogue import dimension_of


class SentenceTransformersConfig(BackendConfig):
    """A model of sentence-transformers, and how it is run.

    `model` is a folder, a name of the Hugging Face hub, or the bare name of one of the library's own models;
    `revision` is the branch, tag or commit of a name. `backend`: "onnx-int8" is smaller and quicker on a processor, and
    its vectors are somewhat off. `device` is torch's name of one, such as "cpu" or "cuda:1" (None: the best there is).
    `batch_size` is how many texts go through the model at once. `normalize` brings vectors to unit length; without it
    they are as the model makes them. `dimension` keeps so many leading components, for models that were trained for it.
    The two prompts go in front of queries and documents (None: the model's own; "": none). `offline` uses what is on
    this machine, as the environment variable HF_HUB_OFFLINE does. `cache_folder` is where models are downloaded to
    (None: the hub's own place). `trust_remote_code` runs code that comes with the model.
    """

    model: str = Field(default="all-MiniLM-L6-v2", min_length=1)
    backend: Literal["torch", "onnx", "onnx-int8"] = "torch"
    device: str | None = None
    batch_size: int = Field(default=32, ge=1, le=4096)
    normalize: bool = True
    dimension: int | None = Field(default=None, ge=1, le=65_536)
    query_prompt: str | None = None
    document_prompt: str | None = None
    revision: str | None = None
    cache_folder: Path | None = None
    offline: bool = False
    trust_remote_code: bool = False

    @property
    def folder(self) -> Path | None:
        """The folder that `model` names, None where it is a name of the hub."""
        folder = Path(self.model).expanduser()
        return folder if folder.is_dir() else None

    @property
    def told_offline(self) -> bool:
        """Whether this configuration, or the environment, forbids the network."""
        return self.offline or told_offline()

    def capabilities(self) -> EmbedderCapabilities:
        """Return what the embedder can do with this model."""
        known = None if self.folder else dimension_of(self.model)
        return EmbedderCapabilities(
            dimension=self.dimension or known,
            normalized=self.normalize,
            offline=self.told_offline or self.folder is not None,
            costs=True,
            truncates=True,
        )
