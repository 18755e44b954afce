"""Where the files of a model are: a folder, what was downloaded before, or the hub."""

from __future__ import annotations

import logging
import os
import platform
from pathlib import Path, PurePosixPath
from typing import Final

from ctxkit_sentence_transformers.catalogue import names_on_the_hub
from ctxkit_sentence_transformers.config import SentenceTransformersConfig
from ctxkit_sentence_transformers.description import modules_of, read_json
from ctxkit_sentence_transformers.failures import failed, load_failure

_log = logging.getLogger("ctxkit.embedders.sentence_transformers")
_SETTINGS: Final = frozenset({".json", ".txt", ".model"})
_OTHER_FORMATS: Final = frozenset({"onnx", "openvino", "coreml"})
_WEIGHTS: Final = (".safetensors", ".bin")
_NOT_WEIGHTS: Final = ("training_args", "optimizer", "scheduler", "rng_state")
# What the library's own repositories call their files; for x86 the one that every processor of the last decade runs.
_INT8: Final = "model_qint8_arm64.onnx" if platform.machine() in {"arm64", "aarch64"} else "model_quint8_avx2.onnx"


def onnx_file(config: SentenceTransformersConfig) -> str | None:
    """Return the file of an ONNX model inside its folder, None for torch."""
    return {"torch": None, "onnx": "onnx/model.onnx", "onnx-int8": f"onnx/{_INT8}"}[config.backend]


def locate(config: SentenceTransformersConfig) -> Path:
    """Return the folder of the model, downloaded where it has to be; raises EmbedderError.

    What is on this machine is taken as it is: a newer revision is fetched when it is named, or when the
    old one is gone.
    """
    folder = config.folder
    if folder is not None:
        return folder
    if _looks_like_a_path(config.model):
        raise failed(config.model, "name", "there is no such folder.")
    names = names_on_the_hub(config.model)
    for name in names:
        found = downloaded(name, config)
        if found is not None:
            return found
    if config.told_offline:
        raise failed(config.model, "network", "it is not on this machine, and the network is not to be used (offline).")
    return _download(names, config)


def downloaded(name: str, config: SentenceTransformersConfig) -> Path | None:
    """Return the folder of a model of the hub that is whole and on this machine, None where it is not."""
    from huggingface_hub import snapshot_download  # noqa: PLC0415 - the hub's client takes its time to import

    try:
        # The pattern matches nothing: which files have to be there is for us to say.
        found = snapshot_download(
            name, revision=config.revision, cache_dir=config.cache_folder, local_files_only=True, allow_patterns=["-"]
        )
    except (OSError, ValueError):  # not there, or no name that the hub could have
        return None
    folder = Path(found)
    return folder if _is_whole(folder, config) else None


def _download(names: list[str], config: SentenceTransformersConfig) -> Path:
    """Fetch the files that the backend needs, with the hub's progress bar where there is a terminal."""
    from huggingface_hub import HfApi, snapshot_download  # noqa: PLC0415

    refused: Exception | None = None
    for name in names:
        try:
            listed = HfApi().model_info(name, revision=config.revision).siblings or []
            wanted = wanted_files([file.rfilename for file in listed], config)
            _log.info("downloading the embedding model %s: its first use on this machine", name)
            found = snapshot_download(
                name, revision=config.revision, cache_dir=config.cache_folder, allow_patterns=wanted
            )
            return Path(found)
        except Exception as exc:
            problem = load_failure(exc, config.model)
            if "(name)" not in problem.message:
                raise problem from exc
            refused = refused or exc
    raise load_failure(refused or ValueError("no name"), config.model) from refused


def wanted_files(listed: list[str], config: SentenceTransformersConfig) -> list[str]:
    """Return those files of a repository that the backend reads: settings, and weights in one format."""
    onnx = onnx_file(config)
    usual = [name for name in listed if PurePosixPath(name).parts[0] not in _OTHER_FORMATS]
    kept = [name for name in usual if PurePosixPath(name).suffix in _SETTINGS]
    if config.trust_remote_code:
        kept += [name for name in usual if name.endswith(".py")]
    weights = _one_format([name for name in usual if _is_weights(name)])
    if onnx is not None and onnx in listed:
        # Modules behind the network, such as a dense layer, have weights of their own in folders of their own.
        kept += [name for name in weights if PurePosixPath(name).parent != PurePosixPath()]
        return [*kept, *(name for name in listed if name.startswith(onnx))]  # a large one keeps its numbers beside it
    return [*kept, *weights]


def weights_of(folder: Path, config: SentenceTransformersConfig) -> list[str]:
    """Return the files with numbers that the backend reads, relative to the folder."""
    there = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return [name for name in wanted_files(there, config) if ".onnx" in name or _is_weights(name)]


def _is_whole(folder: Path, config: SentenceTransformersConfig) -> bool:
    """Whether everything is there: a download may have been interrupted."""
    if not any((folder / name).is_file() for name in ("config.json", "modules.json")):
        return False
    there = weights_of(folder, config)
    parts = {module.path for module in modules_of(folder) if module.kind in {"Transformer", "Dense"}} or {""}
    onnx = onnx_file(config)
    if onnx is not None:
        parts.discard("")
        if onnx not in there:
            return False
    return all(any(PurePosixPath(name).parent == PurePosixPath(part) for name in there) for part in parts) and all(
        (index.parent / shard).is_file()
        for index in folder.rglob("*.index.json")
        for shard in set(read_json(index).get("weight_map", {}).values())
        if shard.endswith(".safetensors")
    )


def _one_format(weights: list[str]) -> list[str]:
    """Leave out a folder's pickled weights where it has them as safetensors too."""
    safe = {PurePosixPath(name).parent for name in weights if name.endswith(".safetensors")}
    return [name for name in weights if name.endswith(".safetensors") or PurePosixPath(name).parent not in safe]


def _is_weights(name: str) -> bool:
    path = PurePosixPath(name)
    return path.suffix in _WEIGHTS and not path.name.startswith(_NOT_WEIGHTS)


def _looks_like_a_path(model: str) -> bool:
    return model.startswith((".", "~", os.sep)) or model.count("/") > 1 or "\\" in model
