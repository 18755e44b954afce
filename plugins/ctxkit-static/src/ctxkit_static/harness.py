"""How the conformance suite examines model2vec's embedder without network: with a model made of the shipped one."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from tokenizers import Tokenizer

from ctxkit.interfaces import Harness
from ctxkit_static.model_file import read_model
from ctxkit_static.pieces import PieceTokenizer
from ctxkit_static.pooling import PiecePool

_COMPONENTS = 64


def save_as_model2vec(folder: Path) -> None:
    """Save the model of the package in the format of model2vec, by model2vec itself: 64 components of each piece."""
    from model2vec import StaticModel  # noqa: PLC0415 - an optional library

    model = read_model()
    every = np.arange(len(model.pieces))
    vectors = PiecePool(model, _COMPONENTS).sums(every, np.ones_like(every))
    tokenizer = Tokenizer.from_str(PieceTokenizer(model.pieces).to_json())
    StaticModel(vectors, tokenizer).save_pretrained(folder)


@functools.cache
def _variants() -> dict[str, dict[str, Any]]:
    """Return a model in a folder that this process removes; without the library, the default."""
    if importlib.util.find_spec("model2vec") is None:
        return {"": {}}
    folder = Path(tempfile.mkdtemp(prefix="ctxkit-model2vec-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    save_as_model2vec(folder)
    return {"the model of the package": {"model": str(folder)}}


class Model2VecHarness(Harness):
    """A model in a folder."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = _variants()
