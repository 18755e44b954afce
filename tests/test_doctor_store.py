"""`ctxkit doctor` on stores and machines: faults planted for real, found, and gone after what the fix says was done."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
from cli_support import Cli
from doctor_support import (
    LIGHT,
    STATIC,
    configure,
    held_by_another,
    is_content,
    make_doctor,
    make_store,
    memory,
    mend,
    verdicts,
)

from ctxkit import ContextManager
from ctxkit.config.layers import read_layers
from ctxkit.doctor.store import _restoring
from ctxkit.doctor.subject import Subject
from ctxkit.local.layout import FORMAT_VERSION, MANIFEST, collection_directory
from ctxkit.memory.entries import PENDING
from ctxkit.memory.opening import COLLECTION
from ctxkit.records import Record

SNAPSHOTS = (
    '[embedder]\nprovider = "static"\n[vector_store]\nprovider = "faiss"\nindex_type = "HNSW"\nexact_below = 0\n'
    'index_build = "inline"\n'
)
# What a program does in the middle of a write.
WRITING = "import sqlite3; c = sqlite3.connect(path, isolation_level=None); c.execute('BEGIN IMMEDIATE')"


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder, the doctor's checks in this process."""
    return make_doctor(tmp_path, monkeypatch, capsys)


def vectorless(number: int) -> Record:
    """Return a memory whose vector was made elsewhere."""
    vector = np.zeros(384, dtype=np.float32)
    vector[number] = 1
    return Record(f"v{number}", f"The anchor number {number} lies in the shed.", vector, {})


def test_a_folder_without_a_memory_is_no_problem(cli: Cli, tmp_path: Path) -> None:
    """It is said where one was looked for, nothing is made there, and the command that is named makes one."""
    configure(tmp_path, LIGHT)
    (tmp_path / "note.md").write_text("The dinghy is moored at the old pier.\n")
    found = verdicts(cli, "machine", "store", options=("--store", "my memory"))
    assert found["store", "store"]["found"] == f"there is none in {tmp_path / 'my memory'} yet"
    assert is_content(found)
    assert not (tmp_path / "my memory").exists()
    mend(cli, found["store", "store"], PATH="note.md")
    configure(tmp_path, f'store = "my memory"\n{LIGHT}')
    assert verdicts(cli, "store")["store", "records"]["found"].startswith("1 in all")


def test_a_file_in_the_place_of_the_store_is_found(cli: Cli, tmp_path: Path) -> None:
    """Nothing can be written there; another folder can be named."""
    configure(tmp_path, LIGHT)
    (tmp_path / ".ctxkit").write_text("")
    found = verdicts(cli, "machine", "store")
    assert found["machine", "disk"]["verdict"] == found["store", "store"]["verdict"] == "problem"
    assert found["machine", "disk"]["fix"] == found["store", "store"]["fix"] == "name a folder with --store."
    assert is_content(verdicts(cli, "machine", "store", options=("--store", "other")))


def test_a_second_writer_is_found(cli: Cli, tmp_path: Path) -> None:
    """Another process is in the middle of a write: it is told how long was waited; once it is gone all is well."""
    configure(tmp_path, f"{LIGHT}busy_timeout = 0.1\n")
    folder = make_store(tmp_path / ".ctxkit", memory(1))
    with held_by_another(folder / "store.db", WRITING):
        held = verdicts(cli, "store")["store", "store"]
    assert held["verdict"] == "problem"
    assert "another process held" in held["found"]
    assert "for longer than 0.1 s" in held["found"]
    assert held["fix"].startswith("end the program that has it, or wait")
    mend(cli, held)


def test_a_store_in_use_is_examined_beside_its_user(cli: Cli, tmp_path: Path) -> None:
    """A program that has the store open, and writes now and then, is no fault, and goes on undisturbed."""
    config = read_layers(configure(tmp_path, STATIC)).config()
    with ContextManager(config, path=tmp_path / ".ctxkit") as manager:
        manager.observe("The boat is moored at berth 14.", "Noted.")
        assert is_content(verdicts(cli, "machine", "store"))
        manager.observe("The boat was moved to berth 15.", "Noted.")
        found = verdicts(cli, "store")
    assert is_content(found)
    assert found["store", "records"]["found"].startswith("2 in all, 2 with a vector")


@pytest.mark.parametrize("damage", ["noise", "empty", "gone"])
def test_a_damaged_database_is_found_and_a_copy_mends_it(cli: Cli, tmp_path: Path, damage: str) -> None:
    """The commands that are printed put it aside, and the copy that `ctxkit backup` made in its place."""
    configure(tmp_path, LIGHT)
    database = make_store(tmp_path / ".ctxkit", *(memory(number) for number in range(50))) / "store.db"
    assert cli("backup", "copy").code == 0
    content = database.read_bytes()
    if damage == "gone":
        database.unlink()
    else:
        database.write_bytes(b"" if damage == "empty" else content[:4096] + os.urandom(len(content) - 4096))
    found = verdicts(cli, "store")["store", "store"]
    assert found["verdict"] == "problem"
    mend(cli, {"fix": found["fix"].partition(" with a copy")[0]}, COPY="copy")
    assert verdicts(cli, "store")["store", "records"]["found"].startswith("50 in all")
    assert (tmp_path / ".ctxkit-damaged").is_dir()


def test_what_is_damaged_at_a_server_is_restored_there(tmp_path: Path) -> None:
    """No folder of this machine can be put in its place, so what the backend says is said."""
    server = ("vector_store.provider=chroma", "vector_store.host=localhost")
    subject = Subject(store="", default_store=str(tmp_path), assignments=server)
    assert _restoring(subject, "restore the database.") == "restore the database."


def test_a_damaged_record_is_named(cli: Cli, tmp_path: Path) -> None:
    """Each row has its checksum; what else is said of a store would rest on rows that are not what was written."""
    configure(tmp_path, LIGHT)
    folder = make_store(tmp_path / ".ctxkit", memory(1), memory(2))
    connection = sqlite3.connect(folder / "store.db")
    with connection:
        connection.execute("UPDATE records SET text = 'The dinghy was sold.' WHERE id = 'm2'")
    connection.close()
    found = verdicts(cli, "store")
    assert {each["verdict"] for each in found.values()} == {"problem", "ok"}
    assert found["store", "records"]["verdict"] == "problem"
    assert "'m2'" in found["store", "records"]["found"]
    assert "'m1'" not in found["store", "records"]["found"]
    assert found["store", "records"]["fix"].startswith("write these ids again or delete them by id. Or `mv ")
    assert ("store", "embedder") not in found


def test_a_damaged_text_index_is_told_and_made_anew(cli: Cli, tmp_path: Path) -> None:
    """What can be made anew from the records is, when the store is opened; the printed command finds nothing."""
    configure(tmp_path, LIGHT)
    folder = make_store(tmp_path / ".ctxkit", memory(1), memory(2))
    connection = sqlite3.connect(folder / "store.db")
    with connection:
        connection.execute("DELETE FROM words_docsize")
    connection.close()
    warned = [each for each in cli("doctor", "--json", "--only", "store").json["checks"][0]["results"] if each["fix"]]
    assert [(each["verdict"], each["subject"]) for each in warned] == [("warning", "index")]
    assert "text index was damaged" in warned[0]["found"]
    mend(cli, warned[0])
    assert is_content(verdicts(cli, "store"))


def test_a_damaged_snapshot_is_told_and_made_anew(cli: Cli, tmp_path: Path) -> None:
    """Its checksum is looked at before the library sees it; the records make another, which the next run finds."""
    handlers = list(logging.getLogger("ctxkit").handlers)
    configure(tmp_path, SNAPSHOTS)
    (tmp_path / "note.md").write_text("# Boats\n\nThe dinghy is moored at the old pier.\n")
    assert cli("ingest", "note.md").code == 0
    (segment,) = collection_directory(tmp_path / ".ctxkit", COLLECTION).glob("segments/*/index.bin")
    content = bytearray(segment.read_bytes())
    content[20] ^= 0xFF
    segment.write_bytes(content)
    found = verdicts(cli, "store")["store", "index"]
    assert (found["verdict"], "does not match its checksum" in found["found"]) == ("warning", True)
    mend(cli, found)
    assert {each["verdict"] for each in verdicts(cli, "store").values()} == {"ok"}
    assert logging.getLogger("ctxkit").handlers == handlers


def test_a_snapshot_that_cannot_be_kept_is_told(cli: Cli, tmp_path: Path) -> None:
    """Searches go on without it, more slowly: a warning, until its folder can be written."""
    configure(tmp_path, SNAPSHOTS)
    (tmp_path / "note.md").write_text("# Boats\n\nThe dinghy is moored at the old pier.\n")
    assert cli("ingest", "note.md").code == 0
    folder = collection_directory(tmp_path / ".ctxkit", COLLECTION) / "segments"
    shutil.rmtree(folder)
    folder.write_text("not a folder")
    told = cli("doctor", "--json", "--only", "store").json["checks"][0]["results"]
    found = [each for each in told if each["found"].startswith("it cannot be kept: no segment could be made")]
    assert [(each["verdict"], each["subject"], each["fix"]) for each in found] == [
        ("warning", "index", "make room in its folder.")
    ]
    folder.unlink()
    assert is_content(verdicts(cli, "store"))


def test_the_age_of_a_snapshot_and_what_came_after_it_are_told(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How old it is, and how many vectors were written and deleted since."""
    path = configure(tmp_path, SNAPSHOTS.replace("exact_below = 0", "exact_below = 4"))
    with ContextManager(read_layers(path).config(), path=tmp_path / ".ctxkit") as manager:
        ids = [manager.add_memory(f"The anchor number {number} lies in the shed.") for number in range(5)]
        manager.long_term_memory.vault.delete(ids[:1])
    began, told = time.time(), []
    for later in (0, 119 * 60, 47 * 3600, 72 * 3600):
        with monkeypatch.context() as clock:
            clock.setattr(time, "time", lambda later=later: began + later)
            told.append(verdicts(cli, "store")["store", "index"]["found"])
    ages = ("0 min", "119 min", "47 h", "3 days")
    assert told == [f"HNSW, its snapshot is {age} old, 1 vectors written and 1 deleted since" for age in ages]


def test_a_store_of_a_newer_version_is_left_alone(cli: Cli, tmp_path: Path) -> None:
    """It is said what is needed; nothing is changed, and another version finds it as it was."""
    configure(tmp_path, LIGHT)
    manifest = make_store(tmp_path / ".ctxkit", memory(1)) / MANIFEST
    before = manifest.read_text()
    manifest.write_text(json.dumps({**json.loads(before), "format_version": FORMAT_VERSION + 1}))
    files = {path: path.read_bytes() for path in manifest.parent.iterdir()}
    found = verdicts(cli, "store", options=("--fix",))["store", "store"]
    assert found["verdict"] == "problem"
    assert f"has format version {FORMAT_VERSION + 1}" in found["found"]
    assert "newer ctxkit" in found["fix"]
    assert {path: path.read_bytes() for path in manifest.parent.iterdir()} == files
    manifest.write_text(before)
    assert is_content(verdicts(cli, "store"))


def test_a_store_of_another_embedder_is_found_and_reembedded(cli: Cli, tmp_path: Path) -> None:
    """The dimension, or only the fingerprint, tells; the command that is printed makes the vectors anew."""
    configure(tmp_path, STATIC)
    make_store(tmp_path / "boats", memory(1), fingerprint="another-model-384")
    store = ("--store", "boats")
    found = verdicts(cli, "store", options=store)["store", "embedder"]
    assert (found["verdict"], "made by another-model-384" in found["found"]) == ("problem", True)
    mend(cli, found)
    again = verdicts(cli, "store", options=store)["store", "embedder"]
    assert (again["verdict"], again["found"].startswith("static made the vectors: static-")) == ("ok", True)
    told = verdicts(cli, "store", options=(*store, "--fix", "--set", "embedder.dimension=128"))
    found = told["store", "embedder"]
    assert (found["verdict"], "384 dimensions; configured is static" in found["found"]) == ("problem", True)
    assert "`ctxkit reembed --set embedder.dimension=128 --store boats`" in found["fix"]
    assert ("store", "embeddings") not in told


def test_vectors_of_a_model_that_nobody_named_are_found(cli: Cli, tmp_path: Path) -> None:
    """A memory refuses them, as they may be anybody's; `--fix` leaves them, and the command makes them anew."""
    configure(tmp_path, STATIC)
    make_store(tmp_path / ".ctxkit", vectorless(1))
    found = verdicts(cli, "store", options=("--fix",))["store", "embedder"]
    assert (found["verdict"], "made by no model that is known" in found["found"]) == ("problem", True)
    assert cli("query", "anchor").code == 1
    mend(cli, found)
    assert is_content(verdicts(cli, "store"))
    assert cli("query", "anchor").code == 0


def test_records_that_have_no_vectors_are_found(cli: Cli, tmp_path: Path) -> None:
    """None waits for one, so none would ever get one; the command makes them all."""
    configure(tmp_path, STATIC)
    make_store(tmp_path / ".ctxkit", memory(1), memory(2))
    found = verdicts(cli, "store")["store", "embeddings"]
    assert (found["verdict"], found["found"]) == (
        "warning",
        "no record has a vector, so 2 are found by their words only",
    )
    smaller = verdicts(cli, "store", options=("--set", "embedder.dimension=128"))["store", "embedder"]
    assert (smaller["verdict"], "made by no model that is known, 384 dim" in smaller["found"]) == ("problem", True)
    mend(cli, found)
    again = verdicts(cli, "store")
    assert is_content(again)
    assert again["store", "records"]["found"].startswith("2 in all, 2 with a vector")
    maker = again["store", "embedder"]["found"].rpartition(" ")[2]
    for folder, records, fingerprint in (("empty", (), None), ("wordless", (memory(1),), maker)):
        make_store(tmp_path / folder, *records, fingerprint=fingerprint)
        assert is_content(verdicts(cli, "store", options=("--store", folder)))  # nothing is there, or can be made


def test_records_that_no_search_finds_are_found(cli: Cli, tmp_path: Path) -> None:
    """A store that searches no texts: without an embedder none is found, and with one none of those that wait."""
    path = configure(tmp_path, LIGHT)
    options = ("-p", "doctor_support", "--set", "vector_store.provider=wordless")
    assert verdicts(cli, "store", options=options)["store", "store"]["verdict"] == "not checked"
    make_store(tmp_path / ".ctxkit", memory(1, **{PENDING: True}))
    found = verdicts(cli, "store", options=options)["store", "embedder"]
    assert found["verdict"] == "problem"
    assert found["found"].endswith("this store searches by vectors only: no search finds its records (1)")
    told = verdicts(cli, "configuration", options=options)["configuration", "file"]
    mend(cli, told, "--only", "configuration")
    assert path.read_text() == STATIC
    found = verdicts(cli, "store", options=options)["store", "embeddings"]
    assert (found["verdict"], found["found"].endswith("found by nothing until then: 1")) == ("warning", True)
    mend(cli, found, "--only", "store")
    assert is_content(verdicts(cli, "configuration", "store", options=options))


def test_vectors_that_nobody_searches_are_found(cli: Cli, tmp_path: Path) -> None:
    """A store has them, and no embedder is configured: half of the search is missing, without an error."""
    path = configure(tmp_path, LIGHT)
    make_store(tmp_path / ".ctxkit", vectorless(1), fingerprint="another-model-384")
    found = verdicts(cli, "store")["store", "embedder"]
    assert (found["verdict"], found["fix"]) == (
        "warning",
        "set embedder.provider to what made them: another-model-384.",
    )
    make_store(tmp_path / "other", memory(1))
    bare = verdicts(cli, "store", options=("--store", "other"))["store", "embedder"]
    assert bare["verdict"] == "not checked"
    path.write_text(STATIC)
    assert verdicts(cli, "store")["store", "embedder"]["verdict"] == "problem"


def test_what_waits_for_a_vector_is_counted_and_embedded(cli: Cli, tmp_path: Path) -> None:
    """An embedder that was down leaves records behind; the printed command embeds them, nothing else."""
    configure(tmp_path, STATIC)
    make_store(tmp_path / ".ctxkit", memory(1, **{PENDING: True}))
    for _ in range(2):
        found = verdicts(cli, "store")
        assert found["store", "embedder"]["found"] == "no model has made vectors yet"
        assert found["store", "embeddings"]["verdict"] == "warning"
        assert found["store", "embeddings"]["found"].endswith("by their words until then: 1")
    mend(cli, found["store", "embeddings"])
    mended = verdicts(cli, "store")
    assert mended["store", "embeddings"]["verdict"] == "ok"
    assert mended["store", "records"]["found"].startswith("1 in all, 1 with a vector")


def test_a_store_whose_provider_is_not_installed_is_not_checked(cli: Cli, tmp_path: Path) -> None:
    """The installation says so; the store is nobody's fault."""
    configure(tmp_path, LIGHT)
    make_store(tmp_path / ".ctxkit", memory(1))
    found = verdicts(cli, "store", options=("--set", "vector_store.provider=elsewhere"))
    assert [(each["verdict"], each["found"]) for each in found.values()] == [
        ("not checked", "the vector store elsewhere is not installed")
    ]


def test_an_embedder_that_cannot_say_what_it_is_is_found(cli: Cli, tmp_path: Path) -> None:
    """Whatever it raises costs its own verdict, and the records are examined all the same."""
    configure(tmp_path, LIGHT)
    make_store(tmp_path / ".ctxkit", memory(1))
    found = verdicts(cli, "store", options=("-p", "components", "--set", "embedder.provider=broken"))
    assert found["store", "records"]["verdict"] == "ok"
    assert (found["store", "embedder"]["verdict"], "ZeroDivision" in found["store", "embedder"]["found"]) == (
        "problem",
        True,
    )
