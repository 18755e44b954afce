"""Reading the model file that ships with the package, and refusing one that is not what was built.

The file is an uncompressed `.npz` (numpy reads it without pickle) of these arrays, n pieces by 384 components:

    pieces         uint8[...]     the vocabulary, UTF-8, one piece a line; line 0 is the unknown piece
    codes          uint8[n, 192]  component 2j in the low half of byte j, component 2j + 1 in the high half
    codebook       float32[16]    the value of each 4-bit code, in standard deviations
    column_scales  float32[384]   the standard deviation of each component
    row_scales     float32[n]     the length of each piece's vector, its weight included; 0 for line 0
    unknown_scale  float32[1]     the length given to a word outside the vocabulary

so that the weighted vector of piece i is row_scales[i] * column_scales * codebook[codes of row i].
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ctxkit.errors import EmbedderError

MODEL_PATH = Path(__file__).parent / "data" / "model.npz"
MODEL_SHA256 = "ddfbfd14651e24696a548462ae21932a16ac54fdd556e95b5d1b0b92a33f45b0"

COMPONENTS = 384
_FIX = "reinstall it with: pip install --force-reinstall --no-deps ctxkit-static"


@dataclass(frozen=True)
class StaticModel:
    """The arrays of the model file, and the vocabulary as a list; all read-only."""

    pieces: list[str]
    codes: NDArray[np.uint8]
    codebook: NDArray[np.float32]
    column_scales: NDArray[np.float32]
    row_scales: NDArray[np.float32]
    unknown_scale: float


def read_model(path: Path = MODEL_PATH, *, sha256: str = MODEL_SHA256) -> StaticModel:
    """Read and verify the model file.

    Raises EmbedderError when the file is missing, unreadable, or has another SHA-256 than `sha256`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _damaged(f"the static model {path} cannot be read ({error})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise _damaged(f"the static model {path} is damaged: its SHA-256 is {found[:16]}..., not {sha256[:16]}...")
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return _parse(arrays)
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise _damaged(f"the static model {path} is in a format that this version cannot read") from error


def _parse(arrays: Any) -> StaticModel:
    pieces = arrays["pieces"].tobytes().decode("utf-8").split("\n")
    model = StaticModel(
        pieces=pieces,
        codes=arrays["codes"],
        codebook=arrays["codebook"],
        column_scales=arrays["column_scales"],
        row_scales=arrays["row_scales"],
        unknown_scale=float(arrays["unknown_scale"][0]),
    )
    if model.codes.shape != (len(pieces), COMPONENTS // 2) or model.row_scales.shape != (len(pieces),):
        raise ValueError("the arrays do not fit the vocabulary")
    return model


def _damaged(message: str) -> EmbedderError:
    return EmbedderError(message, fix=_FIX, backend="static")
