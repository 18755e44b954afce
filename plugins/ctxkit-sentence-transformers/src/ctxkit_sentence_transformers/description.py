"""What the files of a model say about it, read without torch: length of vectors, prompts, and what it is."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from ctxkit.errors import EmbedderError

_TRANSPARENT: Final = frozenset({"Normalize", "Dropout", "LayerNorm"})  # leave the length of a vector as it is
_VOLATILE: Final = frozenset({"_name_or_path", "transformers_version"})  # name a history, not a vector
_VOCABULARIES: Final = ("vocab.txt", "vocab.json", "merges.txt", "*.model")
_SETTINGS: Final = ("config.json", "sentence_*_config.json", "tokenizer_config.json")
_SHA256: Final = re.compile("[0-9a-f]{64}")
_CHUNK: Final = 1 << 20


class Module(NamedTuple):
    """One step of a model: the last part of its class's name, and its folder inside the model's ("" is the same)."""

    kind: str
    path: str


def modules_of(folder: Path) -> list[Module]:
    """Return the steps of a model, none where it is a plain transformer."""
    listed = read_json(folder / "modules.json")
    steps = listed if isinstance(listed, list) else []
    return [Module(str(each["type"]).rpartition(".")[2], str(each.get("path", ""))) for each in steps]


def dimension_in(folder: Path) -> int | None:
    """Return the length of the vectors that the whole model makes, None where its files do not say."""
    modules = modules_of(folder) or [Module("Transformer", "")]
    last = next((module for module in reversed(modules) if module.kind not in _TRANSPARENT), None)
    if last is None:
        return None
    settings = read_json(folder / last.path / "config.json")
    found = {"Dense": _of_dense, "Pooling": _of_pooling, "Transformer": _of_transformer}.get(last.kind, _unknown)
    return found(settings)


def is_normalized(folder: Path) -> bool:
    """Whether the model itself ends by bringing vectors to unit length."""
    return [module.kind for module in modules_of(folder)][-1:] == ["Normalize"]


def prompts_in(folder: Path) -> dict[str, Any]:
    """Return the prompts that the model brings, the empty ones left out, and which one is for every text."""
    settings = read_json(folder / "config_sentence_transformers.json")
    prompts = {name: prompt for name, prompt in (settings.get("prompts") or {}).items() if prompt}
    default = settings.get("default_prompt_name")
    return {"prompts": prompts, "default": default if default in prompts else None}


def content_hash(folder: Path, weights: Iterable[str]) -> str:
    """Return a digest of what makes the vectors: weights, vocabulary and settings, wherever the folder is.

    The README, the history in the settings and the weights of other formats do not count, so a copy that was saved
    again is the same model. A file that the hub's cache names by its SHA-256 is not read for it.
    """
    parts: dict[str, str] = {name: _digest(folder / name) for name in weights}
    for place in {folder, *(folder / module.path for module in modules_of(folder))}:
        for path in (path for pattern in _SETTINGS for path in place.glob(pattern)):
            parts[path.relative_to(folder).as_posix()] = _settings_digest(path)
        tokenizer = place / "tokenizer.json"
        found = [tokenizer] if tokenizer.is_file() else [path for each in _VOCABULARIES for path in place.glob(each)]
        parts.update({path.relative_to(folder).as_posix(): _digest(path) for path in found})
    modules = json.dumps(modules_of(folder))
    return hashlib.sha256(json.dumps([modules, sorted(parts.items())]).encode()).hexdigest()


def read_json(path: Path) -> Any:
    """Return what a file of settings says, {} where there is none; raises EmbedderError for a damaged one."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as exc:
        raise EmbedderError(
            f"Failed to load embedding model {path.parent.name!r} (disk): {path.name} cannot be read"
            f" ({type(exc).__name__}).",
            fix="remove the model's folder so that it is fetched again, or use provider 'static'.",
            backend="sentence-transformers",
        ) from exc


def _of_dense(settings: dict[str, Any]) -> int | None:
    return settings.get("out_features")


def _of_pooling(settings: dict[str, Any]) -> int | None:
    one = settings.get("embedding_dimension") or settings.get("word_embedding_dimension")
    modes = settings.get("pooling_mode")
    if modes is None:
        flags = [value for name, value in settings.items() if name.startswith("pooling_mode_")]
        modes = [flag for flag in flags if flag] or ["mean"]
    return one * (1 if isinstance(modes, str) else len(modes)) if one else None


def _of_transformer(settings: dict[str, Any]) -> int | None:
    return settings.get("hidden_size")


def _unknown(_: dict[str, Any]) -> int | None:
    return None


def _settings_digest(path: Path) -> str:
    said = read_json(path)
    kept = {name: value for name, value in said.items() if name not in _VOLATILE} if isinstance(said, dict) else said
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _digest(path: Path) -> str:
    """Return a file's SHA-256; the hub's cache has it as the name of the file behind the link."""
    real = path.resolve()
    if real != path and _SHA256.fullmatch(real.name) and real.parent.name == "blobs":
        return real.name
    status = real.stat()
    return _digest_of(real, status.st_size, status.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _digest_of(path: Path, _size: int, _changed: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()
