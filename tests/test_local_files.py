"""Files that are foreign, older, missing, cut, flipped or out of reach."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from local_collections import SPEC, check_all, child, directory, filled, sql

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.errors import (
    FormatVersionError,
    StoreCorruptError,
    StoreError,
    StoreUnavailableError,
)
from ctxkit.interfaces import CollectionSpec


@pytest.fixture
def config(tmp_path: Path) -> ExactConfig:
    """A fresh directory."""
    return ExactConfig(path=tmp_path / "data")


@pytest.mark.parametrize(("version", "fix"), [(99, "newer ctxkit"), (0, "ctxkit upgrade")])
@pytest.mark.parametrize("where", ["manifest", "database"])
def test_format_versions(config: ExactConfig, version: int, fix: str, where: str) -> None:
    """A newer or older format is refused with what to do, wherever it is noticed."""
    filled(config, 3)
    manifest = directory(config) / "manifest.json"
    if where == "manifest":
        content = json.loads(manifest.read_text())
        manifest.write_text(json.dumps({**content, "format_version": version}))
    else:
        sql(config, "UPDATE meta SET value = ? WHERE key = 'format_version'", str(version))
    with pytest.raises(FormatVersionError, match=fix):
        ExactStore.open(SPEC, config)
    with pytest.raises(FormatVersionError, match=fix):
        ExactStore.describe_collection(config, "c")


def test_interrupted_creation_is_finished(config: ExactConfig) -> None:
    """A database without its manifest gets one; an empty file that nothing vouches for is a creation cut short."""
    records = filled(config)
    (directory(config) / "manifest.json").unlink()
    assert ExactStore.list_collections(config) == ["c"]
    with ExactStore.open(SPEC, config) as store:
        check_all(store, records)
    assert (directory(config) / "manifest.json").is_file()
    fresh = directory(config, "fresh")
    fresh.mkdir()
    (fresh / "store.db").touch()
    with ExactStore.open(CollectionSpec(name="fresh", dimension=2), config) as store:
        assert store.count() == 0


def test_damaged_manifest(config: ExactConfig) -> None:
    """An unreadable manifest is written anew from the database; another collection's is refused."""
    records = filled(config)
    manifest = directory(config) / "manifest.json"
    whole = manifest.read_text()
    for content in ("", "{", "[]", "{}"):
        manifest.write_text(content)
        with ExactStore.open(SPEC, config) as store:
            check_all(store, records)
        assert json.loads(manifest.read_text())["incarnation"]
    manifest.write_text(json.dumps({**json.loads(whole), "incarnation": "0" * 32}))
    with pytest.raises(StoreCorruptError):
        ExactStore.open(SPEC, config)


@pytest.mark.parametrize("fault", ["missing", "emptied", "other", "hollow"])
def test_lost_database(config: ExactConfig, fault: str) -> None:
    """A manifest without its database is damage, never a new and empty store; it can be dropped."""
    filled(config)
    database = directory(config) / "store.db"
    database.unlink()
    if fault == "emptied":
        database.touch()
    if fault == "other":
        database.write_bytes(b"no database at all" * 100)
    if fault == "hollow":
        with closing(sqlite3.connect(database)) as connection:
            connection.execute("PRAGMA user_version = 5")
    for call in (lambda: ExactStore.open(SPEC, config), lambda: ExactStore.describe_collection(config, "c")):
        with pytest.raises(StoreCorruptError):
            call()
    assert ExactStore.list_collections(config) == ["c"]
    ExactStore.drop_collection(config, "c")
    assert ExactStore.list_collections(config) == []


def test_flipped_and_truncated_files(config: ExactConfig) -> None:
    """After a clean close, any flipped byte or cut gives a typed error or every right answer."""
    records = filled(config)
    generator = random.Random(7)  # noqa: S311 - the same faults every time
    outcomes = {"recovered": 0, "refused": 0}
    for file in sorted(directory(config).iterdir()):
        whole = file.read_bytes()
        cuts = [0, 1, 100, len(whole) // 2, len(whole) - 1]
        flips = [generator.randrange(len(whole)) for _ in range(150)] + list(range(min(110, len(whole))))
        faults: list[bytes] = [whole[:cut] for cut in cuts]
        for place in flips:
            changed = bytearray(whole)
            changed[place] ^= 1 << generator.randrange(8)
            faults.append(bytes(changed))
        siblings = {entry: entry.read_bytes() for entry in directory(config).iterdir()}
        for fault in faults:
            for entry in directory(config).iterdir():
                entry.unlink()
            for entry, content in siblings.items():
                entry.write_bytes(fault if entry == file else content)
            try:
                with ExactStore.open(SPEC, config) as store:
                    check_all(store, records)
                outcomes["recovered"] += 1
            except StoreError:
                outcomes["refused"] += 1
        for entry in directory(config).iterdir():
            entry.unlink()
        for entry, content in siblings.items():
            entry.write_bytes(content)
    assert min(outcomes.values()) > 20
    with ExactStore.open(SPEC, config) as store:
        check_all(store, records)


def test_path_that_is_a_file(tmp_path: Path) -> None:
    """A file where the directory should be is named with the remedy."""
    file = tmp_path / "file"
    file.write_text("mine")
    calls: list[Callable[[ExactConfig], object]] = [
        lambda config: ExactStore.open(SPEC, config),
        ExactStore.list_collections,
        lambda config: ExactStore.describe_collection(config, "c"),
    ]
    for path in (file, file / "below"):
        for call in calls[: 3 if path == file else 1]:
            with pytest.raises(StoreUnavailableError, match="file") as caught:
                call(ExactConfig(path=path))
            assert caught.value.fix is not None
    assert file.read_text() == "mine"


def test_unwritable_path(config: ExactConfig) -> None:
    """A user without write permission gets StoreUnavailableError naming the path."""
    filled(config, 3)
    assert config.path is not None
    for entry in (config.path, directory(config), *directory(config).iterdir()):
        entry.chmod(0o555)
    for parent in config.path.parents[:3]:
        parent.chmod(0o755)
    code = """
if os.getuid() == 0:
    os.setuid(65534)
for name in ("c", "new"):
    try:
        ExactStore.open(CollectionSpec(name=name, dimension=8), config)
    except StoreUnavailableError as error:
        print("refused", error)
"""
    run = child(code, config.path)
    for entry in (config.path, directory(config), *directory(config).iterdir()):
        entry.chmod(0o755)
    assert run.stdout.count("refused") == 2, run.stderr
    assert str(config.path) in run.stdout
    assert "who only reads writes to it as well" in run.stdout
