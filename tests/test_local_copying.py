"""Backups of a store in use, and stores of other versions."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path

import numpy as np
import pytest
from cli_support import Cli, assert_error, make_cli
from local_collections import child

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import ConfigError, FormatVersionError, StoreUnavailableError
from ctxkit.interfaces import CollectionSpec
from ctxkit.local import copying
from ctxkit.local.layout import MANIFEST, collection_directory
from ctxkit.records import Record, RecordBatch

SPEC = CollectionSpec(name="c", dimension=4)


def filled(path: Path, name: str = "c", count: int = 50) -> None:
    """Write some records."""
    vectors = np.random.default_rng(0).normal(size=(count, 4))
    with ExactStore.open(SPEC.model_copy(update={"name": name}), ExactConfig(path=path)) as store:
        store.upsert(RecordBatch([f"r{i}" for i in range(count)], vectors, [f"text {i}" for i in range(count)]))


def test_a_backup_is_a_store(tmp_path: Path) -> None:
    """Every collection is there, with every record, and the source is as it was."""
    filled(tmp_path / "s")
    filled(tmp_path / "s", "other name", 3)
    told: list[tuple[int, int, str]] = []
    copied = copying.backup(tmp_path / "s", tmp_path / "copy", lambda *each: told.append(each))
    assert sorted((each.name, each.records) for each in copied) == [("c", 50), ("other name", 3)]
    assert [done for done, _, _ in told] == [0, 1, 2]
    for path in ("s", "copy"):
        config = ExactConfig(path=tmp_path / path)
        assert ExactStore.list_collections(config) == ["c", "other name"]
        with ExactStore.open(SPEC, config) as store:
            assert (store.count(), store.health().ok) == (50, True)
            assert store.text_query("41", 3).ids == ["r41"]
            assert len(store.query(np.ones(4), 60)[0]) == 50


def test_a_backup_of_a_store_in_use_is_one_moment(tmp_path: Path) -> None:
    """Batches that are written meanwhile are in it whole or not at all; nobody waits."""
    filled(tmp_path / "s", count=2)
    stop = threading.Event()
    written: list[int] = []

    def write() -> None:
        with ExactStore.open(SPEC, ExactConfig(path=tmp_path / "s")) as store:
            while not stop.is_set():
                number = len(written)
                store.upsert([Record(f"{number}/{part}", "", [1, 2, 3, number]) for part in range(10)])
                written.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for round_ in range(4):
            before = len(written)
            copying.backup(tmp_path / "s", tmp_path / f"copy{round_}")
            with ExactStore.open(SPEC, ExactConfig(path=tmp_path / f"copy{round_}")) as store:
                assert store.health().ok
                assert (store.count() - 2) % 10 == 0
                assert (store.count() - 2) // 10 >= before
    finally:
        stop.set()
        writer.join()
    assert written


KILLED = """
import os, signal
from ctxkit.local import copying
copying.backup(config.path, Path(sys.argv[2]), lambda done, *_: done and os.kill(os.getpid(), signal.SIGKILL))
"""


def test_what_a_killed_backup_left_goes_with_the_next(tmp_path: Path) -> None:
    """The next to the same target deletes it; a backup that is still at work loses nothing."""
    for name in ("c", "other"):
        filled(tmp_path / "s", name, 3)
    for target in ("copy", "elsewhere", "copy"):
        assert child(KILLED, tmp_path / "s", tmp_path / target).returncode == -signal.SIGKILL
    assert sorted(path.name.split(".")[1] for path in tmp_path.glob(".*")) == ["copy", "elsewhere"]

    def second(done: int, *_: object) -> None:
        if done == 1:
            copying.backup(tmp_path / "s", tmp_path / "copy")

    with pytest.raises(StoreUnavailableError, match="not empty"):
        copying.backup(tmp_path / "s", tmp_path / "copy", second)
    assert ExactStore.list_collections(ExactConfig(path=tmp_path / "copy")) == ["c", "other"]
    assert [path.name.split(".")[1] for path in tmp_path.glob(".*")] == ["elsewhere"]


def test_a_target_in_use_is_refused(tmp_path: Path) -> None:
    """Nothing is overwritten, and nothing is left behind."""
    filled(tmp_path / "s")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("mine")
    for target in ("full", "file"):
        with pytest.raises(ConfigError, match="empty folder"):
            copying.backup(tmp_path / "s", tmp_path / target)
    copying.backup(tmp_path / "s", tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "file", "full", "s"]


def test_nothing_to_copy_is_an_error(tmp_path: Path) -> None:
    """A mistyped folder is no empty backup."""
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(StoreUnavailableError, match="no store"):
            copying.backup(path, tmp_path / "copy")


def test_upgrade_leaves_what_is_up_to_date(tmp_path: Path) -> None:
    """A store of this version is not touched."""
    filled(tmp_path)
    assert copying.upgrade(tmp_path) == []
    assert list(copying.versions(tmp_path).values()) == [1]


@pytest.mark.parametrize("version", [0, 99])
def test_upgrade_refuses_what_it_does_not_know(tmp_path: Path, version: int) -> None:
    """A format of the future, and one that nothing leads on from, are errors that change nothing."""
    filled(tmp_path)
    manifest = collection_directory(tmp_path, "c") / MANIFEST
    content = json.loads(manifest.read_text()) | {"format_version": version}
    manifest.write_text(json.dumps(content))
    with pytest.raises(FormatVersionError, match=f"version {version}"):
        copying.upgrade(tmp_path)
    assert json.loads(manifest.read_text()) == content


def test_upgrade_takes_step_after_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An old collection is brought forward one version at a time."""
    filled(tmp_path)
    manifest = collection_directory(tmp_path, "c") / MANIFEST

    def step(directory: Path) -> None:
        content = json.loads((directory / MANIFEST).read_text())
        (directory / MANIFEST).write_text(json.dumps(content | {"format_version": content["format_version"] + 1}))

    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format_version": -1}))
    monkeypatch.setattr(copying, "_STEPS", {-1: step, 0: step})
    assert copying.upgrade(tmp_path) == [(collection_directory(tmp_path, "c").name, -1, 1)]
    with ExactStore.open(SPEC, ExactConfig(path=tmp_path)) as store:
        assert store.count() == 50


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in this process."""
    return make_cli(tmp_path, monkeypatch, capsys)


def test_the_commands(tmp_path: Path, cli: Cli) -> None:
    """Both say what they did, and what to do when they cannot."""
    filled(tmp_path / "s")
    store = ("--store", str(tmp_path / "s"))
    done = cli("backup", str(tmp_path / "copy"), *store)
    assert (done.code, "c: 50 records" in done.out) == (0, True)
    assert_error(cli("backup", str(tmp_path / "copy"), *store), "Fix: name a folder that does not exist.")
    assert cli("backup", "another", *store, "--json").json["collections"][0]["records"] == 50
    assert cli("upgrade", *store, "--json").json["collections"] == 1
    assert "1 collection, 0 upgraded, 1 up to date." in cli("upgrade", *store).out
    assert_error(cli("upgrade", "--store", str(tmp_path / "none")), "no store")
