"""Finding a vocabulary on this machine, and making an encoding of it; nothing here uses the network."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import tempfile
import threading
from collections.abc import Iterator
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ctxkit.errors import TokenizerError
from ctxkit_tiktoken.encodings import DEFINITIONS, Definition

if TYPE_CHECKING:
    import tiktoken

# Packages that carry copies, under the names of tiktoken's cache.
_CARRIERS: Final = (
    ("llama_index", "core/_static/tiktoken_cache"),
    ("litellm", "litellm_core_utils/tokenizers"),
)
_ONE_PIECE = r"(?s:.)+"
_loaded: dict[tuple[str, Path, bool], tiktoken.Encoding] = {}
_lock = threading.Lock()


def find_vocabulary(name: str, directory: Path | None = None) -> Path | None:
    """Return a sound copy of an encoding's vocabulary, or None.

    With `directory`, only there; a file may have its published name, for example o200k_base.tiktoken, or that of
    tiktoken's cache. Otherwise in tiktoken's cache, as TIKTOKEN_CACHE_DIR or DATA_GYM_CACHE_DIR name it, and in
    installed packages that carry copies. A file with another digest is passed over.
    """
    definition = DEFINITIONS[name]
    for path in _candidates(definition, directory):
        if _is_sound(path, definition.sha256):
            return path
    return None


def missing(name: str, directory: Path | None = None) -> str:
    """Return in one sentence what `find_vocabulary` did not find, damaged files included."""
    definition = DEFINITIONS[name]
    damaged = [str(path) for path in _candidates(definition, directory) if path.is_file()]
    if damaged:
        return f"the vocabulary of {name} in {', '.join(damaged)} is damaged or another one"
    return f"the vocabulary of {name} is not {f'in {directory}' if directory else 'on this machine'}"


def how_to_get(name: str) -> str:
    """Return what to do about a missing vocabulary."""
    definition = DEFINITIONS[name]
    return (
        f"with a network, run `python -c \"import tiktoken; tiktoken.get_encoding('{name}')\"` once, or put"
        f" {definition.url} into a folder and name it with the option directory"
    )


def load_encoding(name: str, path: Path, *, whole: bool = False) -> tiktoken.Encoding:
    """Return the encoding made of a file that was found; made once in a process, and shared.

    With `whole`, the encoding that takes a text for one piece. Raises TokenizerError when the file cannot be read or is
    not the vocabulary any more.
    """
    key = (name, path, whole)
    if (found := _loaded.get(key)) is None:
        with _lock:
            if (found := _loaded.get(key)) is None:
                found = _loaded[key] = _make(DEFINITIONS[name], path, whole=whole)
    return found


def _make(definition: Definition, path: Path, *, whole: bool) -> tiktoken.Encoding:
    import tiktoken  # noqa: PLC0415 - finding a vocabulary needs no tiktoken

    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != definition.sha256:
            raise ValueError("its digest is not the published one")  # noqa: TRY301 - one way out for all causes
        pairs = (line.split() for line in content.splitlines() if line)
        ranks = {base64.b64decode(token): int(rank) for token, rank in pairs}
    except (OSError, ValueError, binascii.Error) as error:
        raise TokenizerError(
            f"the vocabulary {path} cannot be used: {error}.", fix=f"{how_to_get(definition.name)}.", backend="tiktoken"
        ) from error
    return tiktoken.Encoding(
        definition.name,
        pat_str=_ONE_PIECE if whole else definition.pattern,
        mergeable_ranks=ranks,
        special_tokens=dict(definition.special_tokens),
    )


def _candidates(definition: Definition, directory: Path | None) -> Iterator[Path]:
    cached = hashlib.sha1(definition.url.encode(), usedforsecurity=False).hexdigest()
    if directory is not None:
        yield directory / definition.file
        yield directory / cached
        return
    named = [os.environ.get(variable, "") for variable in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR")]
    folders = [Path(each) for each in named if each]
    folders.append(Path(tempfile.gettempdir()) / "data-gym-cache")
    for package, inside in _CARRIERS:
        spec = find_spec(package)
        places = spec.submodule_search_locations if spec is not None else None
        folders += [Path(place) / inside for place in places or ()]
    for folder in folders:
        yield folder / cached


def _is_sound(path: Path, sha256: str) -> bool:
    try:
        state = path.stat()
        return _digest(path, state.st_mtime_ns, state.st_size) == sha256
    except OSError:
        return False


@lru_cache(maxsize=64)
def _digest(path: Path, _changed: int, _size: int) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
