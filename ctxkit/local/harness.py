"""How the conformance suite reaches into a store of this engine."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from typing import Any, ClassVar

import numpy as np

from ctxkit.interfaces import BackendConfig, DirectoryHarness
from ctxkit.local.layout import DATABASE, FORMAT_VERSION, MANIFEST, collection_directory
from ctxkit.records import Record


class LocalHarness(DirectoryHarness):
    """The engine's directory, its database read by plain SQL, and a store in memory as a variant."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"": {}, "in memory": {"path": None}}

    def raw(self, config: BackendConfig, collection: str) -> Mapping[str, Record]:
        """Return what the tables hold; none of the engine's own reading code takes part."""
        database = collection_directory(self._folder(config), collection) / DATABASE
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            rows = connection.execute("SELECT label, id, metadata, text FROM records").fetchall()
            vectors = dict(connection.execute("SELECT label, vector FROM vectors").fetchall())
        return {
            id_: Record(id_, text, _vector(vectors.get(label)), json.loads(metadata))
            for label, id_, metadata, text in rows
        }

    def newer_format(self, config: BackendConfig, collection: str) -> None:
        """Raise the version that the manifest names."""
        manifest = collection_directory(self._folder(config), collection) / MANIFEST
        content = json.loads(manifest.read_text(encoding="utf-8"))
        content["format_version"] = FORMAT_VERSION + 1
        manifest.write_text(json.dumps(content), encoding="utf-8")


def _vector(blob: bytes | None) -> Any:
    return None if blob is None else np.frombuffer(blob, dtype="<f4")
