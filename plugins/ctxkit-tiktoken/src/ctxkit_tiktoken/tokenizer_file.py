"""Reading a tokenizer.json: where it is, and whether ids give the text back."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from ctxkit.errors import TokenizerError

FILE_NAME: Final = "tokenizer.json"
_BYTES = 256


def tokenizer_file(path: Path) -> Path:
    """Return the file itself when `path` is the folder of a model."""
    return path / FILE_NAME if path.is_dir() else path


def read_tokenizer_file(path: Path) -> dict[str, Any]:
    """Return what a tokenizer.json holds; raises TokenizerError when it is missing or something else."""
    file = tokenizer_file(path)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TokenizerError(
            f"{file} cannot be read as a tokenizer: {error}.",
            fix=f"name the model's {FILE_NAME}, or its folder, with the option file.",
            backend="huggingface",
        ) from error
    if not isinstance(found, dict) or "model" not in found:
        raise TokenizerError(
            f"{file} is no tokenizer: it has no model.", fix=f"name the model's {FILE_NAME}.", backend="huggingface"
        )
    return found


def gives_text_back(path: Path) -> bool:
    """Whether decoding the ids of any text gives that text: byte-level BPE that normalises and adds nothing."""
    try:
        file = tokenizer_file(path)
        state = file.stat()
        return _gives_text_back(file, state.st_mtime_ns, state.st_size)
    except (OSError, TokenizerError):
        return False


@lru_cache(maxsize=16)
def _gives_text_back(file: Path, _changed: int, _size: int) -> bool:
    found = read_tokenizer_file(file)
    model = found["model"]
    steps = _steps(found.get("pre_tokenizer"), "pretokenizers")
    decoders = _steps(found.get("decoder"), "decoders")
    alphabet = [token for token in model.get("vocab", {}) if len(token) == 1]
    conditions = (
        model.get("type") == "BPE",
        len(alphabet) >= _BYTES,
        not model.get("continuing_subword_prefix"),
        not model.get("end_of_word_suffix"),
        not _steps(found.get("normalizer"), "normalizers"),
        all(_keeps_everything(step) for step in steps),
        [step["type"] for step in steps[-1:]] == ["ByteLevel"],
        [step["type"] for step in decoders] == ["ByteLevel"],
        not any(token.get("lstrip") or token.get("rstrip") for token in _plain_added(found)),
    )
    return all(conditions)


def _steps(found: Any, inside: str) -> list[dict[str, Any]]:
    """Return the steps of a sequence, or the one step that there is."""
    if not found:
        return []
    steps: list[dict[str, Any]] = found[inside] if found.get("type") == "Sequence" else [found]
    return steps


def _keeps_everything(step: dict[str, Any]) -> bool:
    if step["type"] == "ByteLevel":
        return not bool(step.get("add_prefix_space", True))
    if step["type"] == "Split":
        return bool(step.get("behavior") != "Removed")
    return bool(step["type"] == "Digits")


def _plain_added(found: dict[str, Any]) -> list[dict[str, Any]]:
    return [token for token in found.get("added_tokens") or [] if not token.get("special")]
