"""What a user can set on the FAISS store."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from ctxkit.local import LocalConfig


class FaissConfig(LocalConfig):
    """The engine's options, the kind of index and the threads of one search (1 to 1024)."""

    index_type: Literal["Flat"] = "Flat"
    threads: int = Field(default=1, ge=1, le=1024)

    @field_validator("index_type", mode="before")
    @classmethod
    def _known_index(cls, value: object) -> object:
        if value != "Flat":
            msg = f"this version of ctxkit-faiss has the index type 'Flat' only, not {value!r}; set index_type='Flat'"
            raise ValueError(msg)
        return value
