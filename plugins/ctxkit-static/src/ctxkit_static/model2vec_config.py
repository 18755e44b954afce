"""What a user can set on the embedder of model2vec's models."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field

from ctxkit.interfaces import BackendConfig, EmbedderCapabilities
from ctxkit.interfaces.loading import told_offline

OWNER: Final = "minishlab"


class Model2VecConfig(BackendConfig):
    """A static model made by model2vec.

    `model` is a folder, a name of the Hugging Face hub, or the bare name of one of the library's own models.
    `revision` is the branch, tag or commit of a name, `cache_folder` where it is downloaded to (None: the hub's own
    place), and `offline` uses what is on this machine, as the environment variable HF_HUB_OFFLINE does.
    """

    model: str = Field(default="potion-base-8M", min_length=1)
    revision: str | None = None
    cache_folder: Path | None = None
    offline: bool = False

    @property
    def folder(self) -> Path | None:
        """The folder that `model` names, None where it is a name of the hub."""
        folder = Path(self.model).expanduser()
        return folder if folder.is_dir() else None

    @property
    def name_on_the_hub(self) -> str:
        """The model's name with its owner's."""
        return self.model if "/" in self.model else f"{OWNER}/{self.model}"

    @property
    def told_offline(self) -> bool:
        """Whether this configuration, or the environment, forbids the network."""
        return self.offline or told_offline()

    def capabilities(self) -> EmbedderCapabilities:
        """Return what the embedder can do with this model; the length of its vectors stands in its files."""
        offline = self.told_offline or self.folder is not None
        return EmbedderCapabilities(dimension=None, normalized=True, offline=offline, truncates=False)
