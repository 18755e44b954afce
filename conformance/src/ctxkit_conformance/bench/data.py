"""What is stored and what is asked: real vectors and texts from files, or synthetic ones that any machine can make."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ctxkit.errors import ConfigError
from ctxkit.records import FloatVectors, RecordBatch

RANK: Final = "bench_rank"  # a place in a random order: `RANK < n / 10` passes one row in ten
REGION: Final = "bench_region"  # which of some regions of the space a row lies in
FIELDS: Final = {RANK: "int", REGION: "int"}
QUERIES: Final = 500
DIMENSION: Final = 384  # of synthetic vectors
_ROWS_PER_REGION: Final = 50
_MOST_REGIONS: Final = 64
_SYLLABLES: Final = (
    "ka",
    "lo",
    "mi",
    "ren",
    "sta",
    "tor",
    "ve",
    "na",
    "shi",
    "bu",
    "el",
    "ga",
    "dro",
    "pi",
    "us",
    "an",
)


@dataclass(frozen=True)
class Dataset:
    """Rows to store, and questions about them that are not among the rows.

    `vectors` and `queries` are float32[n, d] of length 1. `questions` are texts, one for each query.
    """

    source: str
    ids: Sequence[str]
    vectors: FloatVectors
    texts: Sequence[str]
    metadata: Sequence[Mapping[str, Any]]
    queries: FloatVectors
    questions: Sequence[str]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def dimension(self) -> int:
        """The length of a vector."""
        return int(self.vectors.shape[1])

    def batch(self, start: int, stop: int) -> RecordBatch:
        """Return some rows as a store takes them."""
        part = slice(start, stop)
        return RecordBatch(self.ids[part], self.vectors[part], self.texts[part], self.metadata[part])

    def batches(self, size: int) -> Iterator[RecordBatch]:
        """Yield all rows in batches."""
        for start in range(0, len(self), size):
            yield self.batch(start, min(start + size, len(self)))

    def column(self, name: str) -> npt.NDArray[np.int64]:
        """Return one of the FIELDS of all rows."""
        return np.array([each[name] for each in self.metadata], dtype=np.int64)


def load(vectors: Path | None, texts: Path | None, rows: int, seed: int) -> Dataset:
    """Return `rows` rows, or as many as the file has beside the queries, chosen by `seed`, in the order of the file.

    Raises ConfigError for files that do not fit.
    """
    rng = np.random.default_rng(seed)
    if vectors is None:
        if texts is not None:
            raise ConfigError(
                "--texts was given without --data.", fix="give the vectors of the texts as --data FILE.npy."
            )
        made, found, source = _synthetic(rows + min(QUERIES, rows), rng), None, "synthetic clusters"
    else:
        made, source = _read_vectors(vectors), vectors.name
        found = None if texts is None else _read_texts(texts)
        if found is not None and len(found) != len(made):
            raise ConfigError(
                f"{vectors} has {len(made)} rows and {texts} has {len(found)}.",
                fix="give files with one text for each vector, in the same order.",
            )
    asked = min(QUERIES, rows, max(1, len(made) - rows, len(made) // 10))
    order = rng.permutation(len(made))
    held, kept = order[:asked], np.sort(order[asked : asked + rows])
    if found is None:
        said = _generated_texts(len(made), rng)
        found = [{"id": f"row-{number:06d}", "text": said[number]} for number in range(len(made))]
    chosen = [found[row] for row in kept]
    stored = _normalised(made[kept])
    return Dataset(
        source,
        [str(each.get("id", f"row-{row:06d}")) for row, each in zip(kept, chosen, strict=True)],
        stored,
        [str(each["text"]) for each in chosen],
        _metadata(chosen, stored, rng),
        _normalised(made[held]),
        [str(found[row]["text"]) for row in held],
    )


def _read_vectors(path: Path) -> npt.NDArray[Any]:
    try:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read: {error}.", fix="give an .npy file of shape (rows, dimension)."
        ) from error
    if found.ndim != 2 or found.dtype.kind != "f" or len(found) < 2:
        raise ConfigError(
            f"{path} holds {found.dtype}{list(found.shape)}.",
            fix="give an .npy file of floats, of shape (rows, dimension).",
        )
    made: npt.NDArray[Any] = found
    return made


def _read_texts(path: Path) -> list[dict[str, Any]]:
    """Read JSON lines with at least "text", or plain lines; compressed where the name ends in .gz."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        lines = content.decode("utf-8").splitlines()
        if ".jsonl" not in path.name:
            return [{"text": line} for line in lines]
        found = [json.loads(line) for line in lines]
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}.", fix="give a .jsonl, .jsonl.gz or .txt file.") from error
    if not all(isinstance(each, dict) and "text" in each for each in found):
        raise ConfigError(f"a line of {path} has no text.", fix='each line has to be an object like {"text": "..."}.')
    return found


def _metadata(
    chosen: Sequence[Mapping[str, Any]], vectors: FloatVectors, rng: np.random.Generator
) -> list[dict[str, Any]]:
    ranks, regions = rng.permutation(len(chosen)).tolist(), _regions(vectors, rng).tolist()
    plain = (str, bool, int, float)
    own = [
        {key: value for key, value in each.items() if key not in {"id", "text"} and isinstance(value, plain)}
        for each in chosen
    ]
    return [{**each, RANK: ranks[row], REGION: regions[row]} for row, each in enumerate(own)]


def _regions(vectors: FloatVectors, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return for each row the nearest of some rows chosen at random."""
    count = max(2, min(_MOST_REGIONS, len(vectors) // _ROWS_PER_REGION))
    centres = vectors[rng.choice(len(vectors), min(count, len(vectors)), replace=False)]
    return np.asarray((vectors @ centres.T).argmax(axis=1), dtype=np.int64)


def _normalised(vectors: npt.NDArray[Any]) -> FloatVectors:
    wide = np.asarray(vectors, dtype=np.float32)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or not np.all(lengths > 0):
        raise ConfigError("the data hold a vector that is zero or not finite.", fix="leave such rows out.")
    return np.ascontiguousarray(wide / lengths)


def _synthetic(rows: int, rng: np.random.Generator) -> FloatVectors:
    """Return overlapping clusters of very different sizes, float32[rows, DIMENSION]."""
    clusters = max(4, rows // 100)
    centres = rng.standard_normal((clusters, DIMENSION), dtype=np.float32)
    sizes = 1.0 / np.arange(1, clusters + 1)
    members = rng.choice(clusters, rows, p=sizes / sizes.sum())
    return np.asarray(centres[members] + rng.standard_normal((rows, DIMENSION), dtype=np.float32), dtype=np.float32)


def _generated_texts(rows: int, rng: np.random.Generator) -> list[str]:
    """Return texts of 8 to 40 words, few of them frequent and many rare."""
    words = [first + second + third for first in _SYLLABLES for second in _SYLLABLES for third in _SYLLABLES]
    shares = 1.0 / np.arange(1, len(words) + 1)
    lengths = rng.integers(8, 41, rows)
    drawn = iter(rng.choice(len(words), int(lengths.sum()), p=shares / shares.sum()).tolist())
    return [" ".join(words[next(drawn)] for _ in range(length)) for length in lengths.tolist()]
