"""SIGKILL in the middle of a move: the same command goes on, and in the end nothing is lost and nothing is changed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
from components import WordEmbedder, WordsConfig
from moving_support import COLLECTION, contents, fill, place, plain

from ctxkit.moving import Order, export, migrate, reembed

TESTS: Final = Path(__file__).parent
CHILD: Final = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from components import WordEmbedder, WordsConfig
from moving_support import COLLECTION, place
from ctxkit.moving import Order, export, migrate, reembed
folder, phase, calls = Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def progress(found, done, total):
    global calls
    calls -= found == phase
    if found == phase and not calls:
        die()

def audit(event, arguments):
    # Between the exchange of the two folders and the old one's going to where it is kept.
    if event == "os.rename" and phase == "rename" and str(arguments[1]).find(".before-reembedding") > 0:
        die()

sys.addaudithook(audit)
order = Order(COLLECTION, progress=progress)
"""
MIGRATE: Final = 'migrate(place("exact", folder / "s"), place(sys.argv[5], folder / "t"), order)'
EXPORT: Final = 'export(place("exact", folder / "s"), folder / "x", COLLECTION, progress=progress)'
REEMBED: Final = 'reembed(place("exact", folder / "s"), WordEmbedder(WordsConfig()), order)'


def killed(code: str, folder: Path, phase: str, calls: int, *more: str) -> None:
    """Run code that kills itself at a call of its progress, and see that it did."""
    command = [sys.executable, "-c", CHILD + code, str(TESTS), str(folder), phase, str(calls), *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.parametrize("name", ["exact", pytest.param("chroma", marks=pytest.mark.slow)])
def test_a_killed_migration_goes_on(name: str, tmp_path: Path) -> None:
    """Killed while it writes and while it compares: the third run has only the rest to write."""
    source, target = place("exact", tmp_path / "s"), place(name, tmp_path / "t")
    fill(source, plain(1300))
    for phase, calls in (("copy", 1), ("verify", 1)):
        killed(MIGRATE, tmp_path, phase, calls, name)
    report = migrate(source, target, Order(COLLECTION))
    assert (report.runs, report.written) == (3, 0)
    assert contents(target) == contents(source)


def test_a_killed_export_goes_on(tmp_path: Path) -> None:
    """The part that was whole is not written again."""
    source = place("exact", tmp_path / "s")
    fill(source, plain(5000))
    killed(EXPORT, tmp_path, "export", 1)
    report = export(source, tmp_path / "x", COLLECTION)
    assert (report.runs, report.written, report.read) == (2, 5000 - 4096, 5000)


def test_a_killed_re_embedding_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    """At each moment the folder opens as one of them, whole; the same command ends it."""
    source = place("exact", tmp_path / "s")
    fill(source, plain(600))
    before = contents(source)
    for phase, fingerprint in (("copy", "m"), ("rename", "words-64")):
        killed(REEMBED, tmp_path, phase, 1)
        assert source.existing(COLLECTION).fingerprint == fingerprint, phase
        assert contents(source).keys() == before.keys(), phase
    with WordEmbedder(WordsConfig()) as model:
        report = reembed(source, model, Order(COLLECTION))
    assert report.old is not None
    assert contents(place("exact", Path(report.old).parent)) == before
    assert source.existing(COLLECTION).fingerprint == "words-64"
