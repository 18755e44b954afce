"""Exports: plain files that hold everything, go on after an interruption, and are trusted in nothing when read."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_support import COLLECTION, NAMES, REGISTRY, contents, fill, nasty, place, plain, spec_of

from ctxkit.errors import (
    ConfigError,
    CtxkitError,
    FormatVersionError,
    StoreCorruptError,
    StoreLockedError,
    StoreUnavailableError,
)
from ctxkit.local import layout
from ctxkit.moving import StorePlace, export, exporting, import_export, origins
from ctxkit.moving.importing import ExportOrigin, read_manifest
from ctxkit.records import Record

RECORDS, VECTORS = "records-00000.jsonl.gz", "vectors-00000.npy"
SEAL = "manifest_sha256"


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_there_and_back(tmp_path: Path) -> None:
    """Every id, text, type of value and bit of a vector, those without one too, and what the collection is."""
    source, target = place("faiss", tmp_path / "s"), place("exact", tmp_path / "t")
    fill(source, [*nasty(), Record("bare", "words alone")])
    done = export(source, tmp_path / "x", COLLECTION)
    assert (done.written, done.verified.digest) == (61, done.verified.copy_digest)
    report = import_export(tmp_path / "x", target)
    assert contents(target) == contents(source)
    assert target.existing(COLLECTION) == source.existing(COLLECTION)
    assert (report.read, report.verified.compared, report.verified.digest) == (61, 61, done.verified.digest)
    with target.open(spec_of()) as store:
        store.delete(["bare"])
    with pytest.raises(ConfigError, match="holds 60 records"):
        import_export(tmp_path / "x", target)
    assert import_export(tmp_path / "x", target, into=True).written == 1


def test_equal_collections_make_equal_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever store they are on, in whichever order they were written, also where files have to help to sort them."""
    monkeypatch.setattr(origins, "_SORTED", 16)
    fill(place("exact", tmp_path / "s"), nasty())
    fill(place("chroma", tmp_path / "t"), nasty()[::-1])
    fill(place("unordered", tmp_path / "u"), nasty()[30:] + nasty()[:30])
    found = []
    for name, folder in (("exact", "s"), ("chroma", "t"), ("unordered", "u")):
        export(place(name, tmp_path / folder), tmp_path / f"x-{folder}", COLLECTION)
        found.append(files(tmp_path / f"x-{folder}"))
    assert found[0] == found[1] == found[2]
    assert set(found[0]) == {"manifest.json", RECORDS, VECTORS}


@pytest.fixture(name="small_parts")
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have few records in a part, so that a small export has several."""
    monkeypatch.setattr(exporting, "_PART_RECORDS", 16)


@pytest.mark.usefixtures("small_parts")
def test_an_export_goes_on_where_it_stopped(tmp_path: Path) -> None:
    """After an interruption the whole parts stay; the unfinished folder is no export, and belongs to its source."""
    source, other = place("exact", tmp_path / "s"), place("exact", tmp_path / "o")
    fill(source, plain(20))
    fill(other, plain(1))

    def interrupt(phase: str, _done: int, _total: int) -> None:
        if phase == "export":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export(source, tmp_path / "x", COLLECTION, progress=interrupt)
    with pytest.raises(StoreUnavailableError, match="no finished export"):
        import_export(tmp_path / "x", place("exact", tmp_path / "t"))
    with pytest.raises(ConfigError, match="holds an unfinished export of"):
        export(other, tmp_path / "x", COLLECTION)
    report = export(source, tmp_path / "x", COLLECTION)
    assert (report.runs, report.written, report.read) == (2, 4, 20)
    export(source, tmp_path / "y", COLLECTION)
    assert files(tmp_path / "x") == files(tmp_path / "y")
    again = export(source, tmp_path / "x", COLLECTION)  # as after a kill at the very end
    assert (again.written, again.read, again.verified.sound) == (0, 20, True)
    with pytest.raises(ConfigError, match="is not empty"):
        export(other, tmp_path / "x", COLLECTION)
    mine = tmp_path / "mine" / ".notes.tmp"
    mine.parent.mkdir()
    mine.touch()
    with pytest.raises(ConfigError, match="is not empty"):
        export(source, mine.parent, COLLECTION)
    assert mine.exists(), "only what an export has left half written is its own"


@pytest.mark.usefixtures("small_parts")
def test_what_was_erased_is_in_no_file_of_an_export(tmp_path: Path) -> None:
    """A killed run leaves what it has written until then; the run that goes on removes what the source lost since."""
    source, folder = place("exact", tmp_path / "s"), tmp_path / "x"
    fill(source, plain(20))
    export(source, folder, COLLECTION)
    (folder / "manifest.json").rename(folder / f".manifest.json.{'0' * 32}.tmp")
    (folder / "records-00002.jsonl.gz").write_bytes(b"written, but not noted down")
    known = {"source": source.title, "collection": COLLECTION, "runs": 1}
    parts = json.loads((folder / f".manifest.json.{'0' * 32}.tmp").read_text())
    (folder / ".export.json").write_text(json.dumps({**known, "digest": parts["digest"], "parts": parts["parts"]}))
    with source.open(spec_of()) as store:
        store.delete(["p00007"])
    with pytest.raises(StoreLockedError, match="written to during the export"):
        export(source, folder, COLLECTION)
    assert files(folder) == {}
    assert export(source, folder, COLLECTION).written == 19
    assert set(files(folder)) == {"manifest.json", *names(0), *names(1)}


def names(part: int) -> tuple[str, str]:
    """Return the names of a part's two files."""
    return f"records-{part:05d}.jsonl.gz", f"vectors-{part:05d}.npy"


def test_two_exports_to_one_folder_do_not_mix(tmp_path: Path) -> None:
    """While one is at work another is refused; what it has noted down is not believed when it is damaged."""
    source = place("exact", tmp_path / "s")
    fill(source, plain(5))
    (tmp_path / "x").mkdir()
    with layout.claimed(tmp_path / "x"), pytest.raises(StoreLockedError, match="is under way"):
        export(source, tmp_path / "x", COLLECTION)
    for damage in ("{", "[]", '{"source": 1}'):
        (tmp_path / "x" / ".export.json").write_text(damage)
        with pytest.raises(StoreCorruptError, match="cannot be read"):
            export(source, tmp_path / "x", COLLECTION)


def test_an_export_of_a_store_that_is_written_to_is_none(tmp_path: Path) -> None:
    """It is of no moment, so nothing is left of it, and the same command makes it once the writers have stopped."""
    source = place("exact", tmp_path / "s")
    fill(source, plain(20))

    def write(phase: str, done: int, total: int) -> None:
        if phase == "export" and done == total:
            fill(source, plain(1, start=900))

    with pytest.raises(StoreLockedError, match="written to during the export"):
        export(source, tmp_path / "x", COLLECTION, progress=write)
    assert files(tmp_path / "x") == {}
    assert export(source, tmp_path / "x", COLLECTION).written == 21


def test_a_file_in_the_folders_place_is_an_error(tmp_path: Path) -> None:
    """It is named, and stays."""
    fill(place("exact", tmp_path / "s"), plain(1))
    (tmp_path / "x").write_text("mine")
    with pytest.raises(StoreUnavailableError, match="x cannot be used: File exists"):
        export(place("exact", tmp_path / "s"), tmp_path / "x", COLLECTION)
    assert (tmp_path / "x").read_text() == "mine"


def test_an_empty_collection_is_an_export_too(tmp_path: Path) -> None:
    """What it is goes along, even when there is nothing in it."""
    source, target = place("exact", tmp_path / "s"), place("faiss", tmp_path / "t")
    fill(source, [])
    export(source, tmp_path / "x", COLLECTION)
    assert import_export(tmp_path / "x", target).verified.compared == 0
    assert target.existing(COLLECTION) == spec_of()


@pytest.mark.parametrize("name", NAMES)
def test_an_export_comes_into_every_backend(
    name: str, nasty_export: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exported from there again it makes the very same files."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    import_export(nasty_export, place(name, tmp_path / "t"))
    export(place(name, tmp_path / "t"), tmp_path / "x", COLLECTION)
    assert files(tmp_path / "x") == files(nasty_export)


@pytest.fixture(name="nasty_export", scope="module")
def _nasty_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an export of what is hard to keep."""
    folder = tmp_path_factory.mktemp("nasty")
    fill(place("exact", folder / "s"), nasty())
    export(place("exact", folder / "s"), folder / "x", COLLECTION)
    return folder / "x"


@pytest.fixture(name="exported", scope="module")
def _exported(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of an export of five records, one of them without a vector."""
    folder = tmp_path_factory.mktemp("export")
    fill(place("exact", folder / "s"), [*plain(4), Record("bare", "no vector")])
    export(place("exact", folder / "s"), folder / "x", COLLECTION)
    return files(folder / "x")


class Forger:
    """An export that somebody changes, with checksums that fit again."""

    def __init__(self, found: dict[str, bytes]) -> None:
        self.files = dict(found)
        self.manifest: dict[str, Any] = json.loads(found["manifest.json"])
        self.lines: list[dict[str, Any]] = [json.loads(line) for line in gzip.decompress(found[RECORDS]).splitlines()]

    def pack(self, raw: bytes | None = None, **part: Any) -> None:
        """Write the lines, or other bytes in their place."""
        data = b"".join(json.dumps(line).encode() + b"\n" for line in self.lines) if raw is None else raw
        self.part(RECORDS, "records_sha256", gzip.compress(data), **{"text_bytes": len(data), **part})

    def array(self, data: bytes) -> None:
        """Write the file of vectors."""
        self.part(VECTORS, "vectors_sha256", data)

    def part(self, name: str, key: str, data: bytes, **values: Any) -> None:
        """Write a file with its checksum."""
        self.files[name] = data
        self.manifest["parts"][0].update({key: hashlib.sha256(data).hexdigest(), **values})

    def write(self, folder: Path) -> None:
        """Write everything to a folder."""
        folder.mkdir()
        del self.manifest[SEAL]
        written = json.dumps(self.manifest, sort_keys=True, separators=(",", ":")).encode()
        self.manifest[SEAL] = hashlib.sha256(written).hexdigest()
        for name, data in {**self.files, "manifest.json": json.dumps(self.manifest).encode()}.items():
            (folder / name).write_bytes(data)


def npy(array: Any, **options: Any) -> bytes:
    """Return the bytes of an .npy file."""
    out = io.BytesIO()
    np.save(out, array, **options)
    return out.getvalue()


def huge() -> bytes:
    """Return an .npy file whose header promises more than any machine has."""
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 2**20)})
    return out.getvalue()


def one_line(**changes: Any) -> Callable[[Forger], None]:
    """Change the record in the second line."""

    def forge(forger: Forger) -> None:
        forger.lines[1].update(changes)
        forger.pack()

    return forge


def manifest(path: str, value: Any) -> Callable[[Forger], None]:
    """Change one value of the manifest."""

    def forge(forger: Forger) -> None:
        place: Any = forger.manifest
        *parents, last = path.split(".")
        for name in parents:
            place = place[int(name)] if name.isdigit() else place[name]
        place[last] = value

    return forge


def without_vectors(forger: Forger) -> None:
    """Take a file away."""
    del forger.files[VECTORS]


def last_without_vector(forger: Forger) -> None:
    """Leave the last row to nobody."""
    forger.lines[-1]["vector"] = None
    forger.pack()


FORGERIES: dict[str, tuple[Callable[[Forger], None], str]] = {
    "truncated records": (lambda f: f.files.update({RECORDS: f.files[RECORDS][:-20]}), "SHA-256"),
    "a flipped bit in the vectors": (
        lambda f: f.files.update({VECTORS: f.files[VECTORS][:-1] + bytes([f.files[VECTORS][-1] ^ 1])}),
        "SHA-256",
    ),
    "a missing file": (without_vectors, "missing or no plain file"),
    "no gzip": (lambda f: f.part(RECORDS, "records_sha256", b"plain"), "does not unpack"),
    "a bomb": (lambda f: f.pack(b"\n" * 10_000_000, text_bytes=100), "does not unpack"),
    "no JSON": (lambda f: f.pack(b"{\n" * 5), "line 1"),
    "deeply nested": (lambda f: f.pack(b"[" * 100_000 + b"\n" * 5), "line 1"),
    "another shape": (lambda f: f.pack(b'{"id": "a"}\n' * 5), "line 1: it is no object of"),
    "NaN": (one_line(metadata={"n": float("nan")}), "line 2: NaN is no number"),
    "infinity by digits": (lambda f: f.pack(gzip.decompress(f.files[RECORDS]).replace(b'"n":0', b'"n":1e999')), "line"),
    "a big integer": (one_line(metadata={"n": 2**64}), "more than 64 bits"),
    "digits without end": (lambda f: f.pack(b"9" * 5000 + b"\n" * 5), "line 1"),
    "a lone surrogate": (one_line(text="\ud800"), "lone surrogate"),
    "an id that is none": (one_line(id=""), "an id is the empty string"),
    "an id twice": (one_line(id="bare"), "not greater than the one before"),
    "another type than declared": (one_line(metadata={"n": "1"}), "declared as int"),
    "a null value": (one_line(metadata={"x": None}), "holds None"),
    "another row": (one_line(vector=3), "its vector is not row 0"),
    "a row that is a flag": (one_line(vector=False), "its vector is not row 0"),
    "a row too few": (one_line(vector=None), "line 3: its vector is not row 0"),
    "a row that is nobody's": (last_without_vector, "3 of its 4 rows belong to a record"),
    "a pickle": (lambda f: f.array(npy(np.array([{}] * 4, dtype=object), allow_pickle=True)), "no float32 of shape"),
    "doubles": (lambda f: f.array(npy(np.ones((4, 8)))), "no float32 of shape"),
    "by columns": (lambda f: f.array(npy(np.asfortranarray(np.ones((4, 8), np.float32)))), "C order"),
    "a promise of much": (lambda f: f.array(huge()), "no float32 of shape"),
    "no array": (lambda f: f.array(b"PK\x03\x04" + bytes(200)), "vectors-00000"),
    "NaN in a vector": (lambda f: f.array(npy(np.full((4, 8), np.nan, np.float32))), "NaN or infinity"),
    "other records than the digest's": (one_line(text="forged"), "not those of its manifest"),
    "a count too high": (manifest("records", 6), "do not add up"),
    "a count below zero": (manifest("records", -1), "records"),
    "an absurd part": (manifest("parts.0.text_bytes", 2**50), "parts.0.text_bytes"),
    "an absurd dimension": (manifest("collection.dimension", 2**40), "collection.dimension"),
    "another dimension": (manifest("collection.dimension", 16), "no float32 of shape"),
    "a metric that is none": (manifest("collection.metric", "manhattan"), "collection.metric"),
    "a path for a name": (manifest("parts.0.number", "../../x"), "parts.0.number"),
    "a part that is not there": (manifest("parts.0.number", 7), "not numbered"),
    "something more": (manifest("parts.0.records_file", "/etc/passwd"), "records_file"),
    "vectors without a checksum": (manifest("parts.0.vectors_sha256", None), "do not fit"),
}


@pytest.mark.parametrize("forge", FORGERIES.values(), ids=FORGERIES)
def test_a_forged_export_is_refused(
    forge: tuple[Callable[[Forger], None], str], exported: dict[str, bytes], tmp_path: Path
) -> None:
    """Whatever is wrong is named, before anything is written."""
    change, words = forge
    forger = Forger(exported)
    change(forger)
    forger.write(tmp_path / "x")
    target = place("exact", tmp_path / "t")
    with pytest.raises(StoreCorruptError) as caught:
        import_export(tmp_path / "x", target)
    assert words in str(caught.value)
    assert not (tmp_path / "t").exists()


def test_a_flipped_bit_is_found_wherever_it_is(exported: dict[str, bytes], tmp_path: Path) -> None:
    """One in each byte of each file: the file is named, and nothing is written."""
    folder = tmp_path / "x"
    folder.mkdir()
    for name, data in exported.items():
        for other, whole in exported.items():
            (folder / other).write_bytes(whole)
        for at in range(len(data)):
            (folder / name).write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
            with pytest.raises((StoreCorruptError, FormatVersionError), match=name):
                import_export(folder, place("exact", tmp_path / "t"))
    assert not (tmp_path / "t").exists()


def test_links_and_other_formats_are_refused(exported: dict[str, bytes], tmp_path: Path) -> None:
    """A link may lead anywhere; a later version, another folder and a damaged manifest have errors of their own."""
    forger = Forger(exported)
    forger.write(tmp_path / "x")
    (tmp_path / "x" / RECORDS).rename(tmp_path / "elsewhere")
    (tmp_path / "x" / RECORDS).symlink_to(tmp_path / "elsewhere")
    forger.manifest["version"] = 2
    forger.write(tmp_path / "later")
    for name, text in (("no-json", "{"), ("no-manifest", '{"format": "other"}'), ("list", "[]"), ("deep", "[" * 10**5)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "manifest.json").write_text(text)
    expected: dict[str, tuple[type[CtxkitError], str]] = {
        "x": (StoreCorruptError, "no plain file"),
        "later": (FormatVersionError, "has version 2; this ctxkit reads 1"),
        "no-json": (StoreCorruptError, "is no JSON"),
        "no-manifest": (StoreCorruptError, "is no export"),
        "list": (StoreCorruptError, "is no export"),
        "deep": (StoreCorruptError, "is no JSON"),
        "nowhere": (StoreUnavailableError, "no finished export"),
        "elsewhere": (StoreUnavailableError, "cannot be used: Not a directory"),
    }
    for name, (kind, words) in expected.items():
        with pytest.raises(kind, match=words):
            import_export(tmp_path / name, StorePlace("exact", {"path": tmp_path / "t"}, REGISTRY))


def test_an_export_answers_like_a_store(exported: dict[str, bytes], tmp_path: Path) -> None:
    """Which records it has of some ids, with their vectors."""
    Forger(exported).write(tmp_path / "x")
    origin = ExportOrigin(tmp_path / "x", read_manifest(tmp_path / "x"))
    assert (origin.count(), origin.bare(), origin.gone(["bare", "x", "p00001"])) == (5, 1, ["x"])
    (found,) = origin.chosen(["p00002"])
    assert found == plain(4)[2]
