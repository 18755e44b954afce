"""Where the files of a model2vec model are, and what they say without the library."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Final

from ctxkit.interfaces.loading import LoadFailures
from ctxkit_static.model2vec_config import Model2VecConfig

FAILURES: Final = LoadFailures("model2vec", smaller="a smaller model such as potion-base-2M")
_FILES: Final = ("config.json", "model.safetensors", "tokenizer.json")
_LENGTH_OF_HEADER = 8


def locate(config: Model2VecConfig) -> Path:
    """Return the folder of the model, downloaded where it has to be; raises EmbedderError.

    What is on this machine is taken as it is: a newer revision is fetched when it is named.
    """
    if config.folder is not None:
        return _whole(config.folder, config)
    if config.model.startswith((".", "~", os.sep)):
        raise FAILURES.failed(config.model, "name", "there is no such folder.")
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - the hub's client takes its time to import

    def found(*, here_only: bool) -> Path:
        place = snapshot_download(
            config.name_on_the_hub,
            revision=config.revision,
            cache_dir=config.cache_folder,
            allow_patterns=list(_FILES),
            local_files_only=here_only,
        )
        return Path(place)

    try:
        folder = found(here_only=True)
    except (OSError, ValueError):  # not there, or no name that the hub could have
        folder = None
    if folder is not None and not _missing(folder):
        return folder
    if config.told_offline:
        what = "it is not on this machine, and the network is not to be used (offline)."
        raise FAILURES.failed(config.model, "network", what)
    try:
        return _whole(found(here_only=False), config)
    except Exception as exc:
        raise FAILURES.explained(exc, config.model) from exc


def dimension_in(folder: Path) -> int:
    """Return the length of the vectors, as the beginning of the file of weights says it.

    Raises OSError, ValueError or KeyError for a damaged file. Source: https://huggingface.co/docs/safetensors
    """
    with (folder / "model.safetensors").open("rb") as file:
        length = int.from_bytes(file.read(_LENGTH_OF_HEADER), "little")
        tensors = json.loads(file.read(min(length, 1 << 20)))
    return int(tensors["embeddings"]["shape"][1])


def digest_of(folder: Path) -> str:
    """Return a digest of what makes the vectors: weights and vocabulary, wherever the folder is."""
    digest = hashlib.sha256()
    for name in ("model.safetensors", "tokenizer.json"):
        digest.update(hashlib.sha256((folder / name).read_bytes()).digest())
    return digest.hexdigest()


def _missing(folder: Path) -> list[str]:
    return [name for name in _FILES if not (folder / name).is_file()]


def _whole(folder: Path, config: Model2VecConfig) -> Path:
    missing = _missing(folder)
    if missing:
        raise FAILURES.failed(config.model, "name", f"it has no {' and no '.join(missing)}, so it is not of model2vec.")
    return folder
