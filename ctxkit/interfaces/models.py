"""What an embedder's plugin says about the models that it is usually used with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ctxkit.interfaces.values import CheckedValue, Rule, flag, number, one_of, text


class EmbeddingModel(CheckedValue):
    """One model that an embedder can be told to use, for whoever has to choose.

    `dimension` is the length of its vectors, `size_mb` what is downloaded once, about, in megabytes. `speed` and
    `quality` are words, to be compared within one catalogue. `on_this_machine`: it needs no download.

    A plugin names a function without arguments in `BackendSpec(models="package.module:name")` that returns them.
    """

    name: str
    dimension: int
    size_mb: float
    speed: str
    quality: str
    on_this_machine: bool
    description: str = ""

    rules: ClassVar[Mapping[str, Rule]] = {
        "name": text(),
        "dimension": number(least=1),
        "size_mb": number(float, least=0),
        "speed": one_of("very fast", "fast", "medium", "slow"),
        "quality": one_of("excellent", "very good", "good", "fair"),
        "on_this_machine": flag,
        "description": text(empty=True),
    }
