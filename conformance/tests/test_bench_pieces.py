"""The pieces of the benchmark: names, data, truth, baselines, timing and figures."""

from __future__ import annotations

import gzip
import importlib.util
import json
import mmap
import sys
from pathlib import Path

import numpy as np
import pytest
from ctxkit_conformance.bench import baselines, data, naming
from ctxkit_conformance.bench.baseline import Baseline
from ctxkit_conformance.bench.figures import BenchReport, Figure, StoreResult, Target
from ctxkit_conformance.bench.plot import check
from ctxkit_conformance.bench.private_memory import private_bytes
from ctxkit_conformance.bench.probe import revealed
from ctxkit_conformance.bench.scan import Scan
from ctxkit_conformance.bench.show import limit, shown
from ctxkit_conformance.bench.sqlite_rows import BareWriter, TextRows
from ctxkit_conformance.bench.timing import in_turns
from ctxkit_conformance.bench.truth import last_similarities, recall
from pydantic import SecretStr

from ctxkit.errors import ConfigError, MissingDependencyError

ROWS = 200
LIBRARIES = {"exact": "numpy", "faiss": "faiss", "hnswlib": "hnswlib", "chroma": "chromadb"}


@pytest.fixture(scope="module")
def rows() -> data.Dataset:
    """A small collection."""
    return data.load(None, None, ROWS, 3)


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("faiss", "faiss", {}),
        ("ctxkit-faiss:faiss", "ctxkit-faiss:faiss", {}),
        ("faiss:index_type=HNSW,m=16", "faiss", {"index_type": "HNSW", "m": 16}),
        ("my-dist:acme:url=http://host:1/x,fields=[1,2],fast=true", "my-dist:acme", None),
    ],
)
def test_names_carry_options(text: str, name: str, options: dict[str, object] | None) -> None:
    """Options follow the name; a colon or a comma within a value belongs to it."""
    found = naming.parsed(text)
    expected = {"url": "http://host:1/x", "fields": [1, 2], "fast": True} if options is None else options
    assert (found.name, dict(found.options), found.text) == (name, expected, text)


def test_the_same_seed_gives_the_same_rows(rows: data.Dataset) -> None:
    """Made-up data depend on the seed alone; vectors have length 1, and no query is a row."""
    again, other = data.load(None, None, ROWS, 3), data.load(None, None, ROWS, 4)
    assert np.array_equal(rows.vectors, again.vectors)
    assert (rows.texts, rows.metadata, rows.questions) == (again.texts, again.metadata, again.questions)
    assert not np.array_equal(rows.vectors, other.vectors)
    assert np.linalg.norm(rows.vectors, axis=1) == pytest.approx(1.0, abs=1e-6)
    assert float((rows.queries @ rows.vectors.T).max()) < 0.9999
    assert sorted(rows.column(data.RANK).tolist()) == list(range(ROWS))


@pytest.mark.parametrize("name", ["texts.jsonl", "texts.jsonl.gz", "texts.txt"])
def test_data_from_files(tmp_path: Path, name: str) -> None:
    """Each row keeps the text of its line, and of an object its id and plain fields; some rows are held out to ask."""
    vectors = np.eye(40, dtype=np.float64) * 3
    np.save(tmp_path / "vectors.npy", vectors)
    objects = [{"id": f"id-{row}", "text": f"text {row}", "lex": row, "nested": {"a": 1}} for row in range(40)]
    lines = "\n".join(json.dumps(each) if "jsonl" in name else str(each["text"]) for each in objects)
    content = lines.encode()
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    found = data.load(tmp_path / "vectors.npy", tmp_path / name, 100, 0)
    assert (len(found), len(found.queries), found.dimension) == (36, 4, 40)
    for row in range(36):
        place = int(found.vectors[row].argmax())
        assert found.texts[row] == f"text {place}"
        if "jsonl" in name:
            assert found.ids[row] == f"id-{place}"
            assert set(found.metadata[row]) == {"lex", data.RANK, data.REGION}
    assert not np.any(found.queries @ found.vectors.T)


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Too few texts, a wrong shape and a vector of zeros are told with what to do."""
    np.save(tmp_path / "good.npy", np.ones((3, 2)))
    np.save(tmp_path / "flat.npy", np.ones(3))
    np.save(tmp_path / "zero.npy", np.zeros((3, 2)))
    (tmp_path / "two.txt").write_text("a\nb\n")
    (tmp_path / "bad.jsonl").write_text('{"title": "a"}\n')
    wrong: list[tuple[str, str | None, str]] = [
        ("good.npy", "two.txt", "3 rows"),
        ("good.npy", "bad.jsonl", "has no text"),
        ("flat.npy", None, "holds float64"),
        ("zero.npy", None, "zero"),
    ]
    for vectors, texts, cause in wrong:
        with pytest.raises(ConfigError, match=cause) as caught:
            data.load(tmp_path / vectors, None if texts is None else tmp_path / texts, 10, 0)
        assert caught.value.fix


def test_recall_counts_ties_and_nothing_else() -> None:
    """A row as near as the last true neighbour counts; a farther one does not; missing rows lower the recall."""
    vectors = np.array([[1, 0], [0.8, 0.6], [0.8, -0.6], [0, 1]], dtype=np.float32)
    query = np.array([[1, 0]], dtype=np.float32)
    true = last_similarities(query, vectors, 2)
    ((least, count),) = true
    assert least == pytest.approx(0.8)
    assert count == 2
    for answer, share in (([0, 1], 1.0), ([0, 2], 1.0), ([0, 3], 0.5), ([0], 0.5), ([], 0.0)):
        assert recall(query, [vectors[np.array(answer, dtype=np.int64)]], true) == share
    masks = [np.array([False, False, False, True])]
    ((least, count),) = last_similarities(query, vectors, 2, masks)
    assert least == pytest.approx(0.0)
    assert count == 1


@pytest.mark.parametrize("name", LIBRARIES)
def test_baselines_answer_or_say_what_they_lack(name: str, rows: data.Dataset, tmp_path: Path) -> None:
    """A known baseline finds the true neighbours with their rows; without its library it names the line to type."""
    target = baselines.target_of(f"some-distribution:{name}", "")
    assert target == baselines.KNOWN[name]
    if importlib.util.find_spec(LIBRARIES[name]) is None:
        with pytest.raises(MissingDependencyError) as caught:
            baselines.make(target, tmp_path / "raw", rows.dimension, {})
        assert caught.value.fix == f"pip install {LIBRARIES[name]}"
        return
    made = baselines.make(target, tmp_path / "raw", rows.dimension, {"index_type": "HNSW", "ef_search": 100})
    made.load(rows)
    _check_answers(made, rows)
    if made.save():
        made.close()
        made = baselines.make(target, tmp_path / "raw", rows.dimension, {"index_type": "HNSW", "ef_search": 100})
        made.restore()
        _check_answers(made, rows)
    made.close()


def _check_answers(made: Baseline, rows: data.Dataset) -> None:
    """Compare a baseline's answers with the truth and with what was stored."""
    place = {id_: row for row, id_ in enumerate(rows.ids)}
    queries = rows.queries[:40]
    answers = made.query(queries, 10)
    found = [rows.vectors[[place[row[0]] for row in answer]] for answer in answers]
    assert recall(queries, found, last_similarities(queries, rows.vectors, 10)) >= 0.95
    for query, answer in zip(queries, answers, strict=True):
        assert [row[1] for row in answer] == sorted((row[1] for row in answer), reverse=True)
        for id_, score, text, metadata in answer:
            assert score == pytest.approx(float(query @ rows.vectors[place[id_]]), abs=1e-4)
            assert (text, dict(metadata)) == (rows.texts[place[id_]], rows.metadata[place[id_]])


@pytest.mark.parametrize(
    ("options", "label"),
    [
        ({"index_type": "Flat"}, "faiss Flat + SQLite"),
        ({"index_type": "IVF4,Flat", "nprobe": 4}, "faiss IVF4,Flat + SQLite"),
        ({"index_type": "Flat", "quantization": "sq8"}, "faiss Flat sq8 + SQLite"),
        ({"index_type": "HNSW", "quantization": "fp16"}, "faiss HNSW fp16 + SQLite"),
    ],
)
def test_any_faiss_index_can_be_compared_with(
    options: dict[str, object], label: str, rows: data.Dataset, tmp_path: Path
) -> None:
    """Kinds of index that FAISS knows, quantised or not, are trained where that is needed, and answer."""
    made = baselines.make(baselines.KNOWN["faiss"], tmp_path, rows.dimension, options)
    made.load(rows)
    assert made.label == label
    assert [len(answer) for answer in made.query(rows.queries[:3], 10)] == [10, 10, 10]
    made.close()


@pytest.mark.parametrize("options", [{"index_type": "Nonsense"}, {"quantization": "nonsense"}])
def test_an_index_that_faiss_does_not_know_is_refused(
    options: dict[str, object], rows: data.Dataset, tmp_path: Path
) -> None:
    """What cannot be compared is said, with the option that helps."""
    made = baselines.make(baselines.KNOWN["faiss"], tmp_path, rows.dimension, options)
    with pytest.raises(ConfigError, match=r"(?i)nonsense") as caught:
        made.load(rows)
    assert "--baseline" in str(caught.value.fix)
    made.close()


def test_the_scan_returns_the_rows_that_pass(rows: data.Dataset, tmp_path: Path) -> None:
    """The exact scan agrees with brute force for a few rows, for most of them, and for all."""
    scan = Scan(tmp_path / "scan", rows)
    query = rows.queries[0]
    similarities = rows.vectors @ query
    for count in (5, 30, 150, ROWS):
        mask = scan.ranks < count
        answer = scan.query(query, 10, None if count == ROWS else (lambda mask=mask: mask))  # type: ignore[misc]
        best = np.sort(similarities[mask])[::-1][:10]
        assert [row[1] for row in answer] == pytest.approx(best.tolist(), abs=1e-6)
    scan.close()


def test_rows_come_in_the_order_of_their_labels(rows: data.Dataset, tmp_path: Path) -> None:
    """Plain SQLite returns each row asked for, repeats included, also for more labels than one statement takes."""
    table = TextRows(tmp_path / "rows.db")
    table.load(rows.ids, rows.texts, rows.metadata)
    labels = [7, 3, 7, *range(ROWS), *range(ROWS), *range(ROWS)]
    found = table.read(labels)
    assert [row[0] for row in found] == [rows.ids[label] for label in labels]
    assert table.read([]) == []
    table.close()


def test_the_bare_writer_keeps_each_record_once(rows: data.Dataset, tmp_path: Path) -> None:
    """A batch that was written twice is there once, durable: SQLite in WAL mode with full synchronisation."""
    writer = BareWriter(tmp_path / "bare")
    for _ in range(2):
        writer.write(rows.batch(0, 20))
    connection = writer._connection
    assert connection.execute("SELECT count(*), sum(length(vector)) FROM records").fetchone() == (20, 20 * 4 * 384)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    writer.close()


def test_turns_are_shared_fairly() -> None:
    """Each way gets the same numbers, new ones in every round; ways take turns to begin; warm-up is dropped."""
    calls: list[tuple[str, int]] = []
    ways = [lambda number: calls.append(("a", number)), lambda number: calls.append(("b", number))]
    turns = in_turns(ways, rounds=3, calls=2, warm_up=1)
    assert sorted(number for way, number in calls if way == "a") == list(range(8))
    assert sorted(number for way, number in calls if way == "b") == list(range(8))
    assert [way for way, _ in calls[::4]] == ["a", "b", "a", "b"]
    assert [len(times) for times in turns.times[0]] == [2, 2, 2]
    assert len(turns.ratios()) == 3


def test_figures_know_their_verdict() -> None:
    """A limit is kept by what lies on it; without a value there is no verdict; a figure survives JSON."""
    most, least = Target(1.25), Target(0.6, at_least=True)
    assert [most.verdict(value) for value in (1.25, 1.26)] == ["met", "missed"]
    assert [least.verdict(value) for value in (0.6, 0.59)] == ["met", "missed"]
    assert (most.strain(2.5), least.strain(0.3)) == (2.0, 2.0)
    figure = Figure("query", "one query", 1.3, target=most, spread=(1.2, 1.4), ours=1.3, raw=1.0, measured_in="s")
    assert figure.verdict == "missed"
    assert Figure("query", "one query", target=most).verdict == ""
    assert Figure.from_dict(json.loads(json.dumps(figure.as_dict()))) == figure
    bare = Figure("text", "text search", note="none")
    assert Figure.from_dict(json.loads(json.dumps(bare.as_dict()))) == bare
    report = BenchReport("", {}, {}, [StoreResult("a", figures=[figure])])
    assert not report.ok
    assert BenchReport("", {}, {}, [StoreResult("a", figures=[bare])]).ok
    assert not BenchReport("", {}, {}, [StoreResult("a", problems=["query: it broke"])]).ok


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.00012345, "s", "123 us"),
        (0.012345, "s", "12.3 ms"),
        (1.5, "s", "1.50 s"),
        (12345.6, "/s", "12 346 /s"),
        (0.98765, "share", "98.8 %"),
        (76_800_000, "bytes", "76.8 MB"),
        (1.234, "x", "1.23x"),
        (None, "x", ""),
    ],
)
def test_values_are_shown_with_three_digits(value: float | None, unit: str, text: str) -> None:
    """A value is as short as a column of the table."""
    assert shown(value, unit) == text


def test_limits_are_shown_as_conditions() -> None:
    """A target reads as what has to hold."""
    assert limit(Target(1.25), "x") == "<= 1.25"
    assert limit(Target(0.02), "s") == "<= 20 ms"
    assert limit(Target(0.99, at_least=True), "share") == ">= 99 %"


def test_private_memory_is_what_this_process_alone_has(tmp_path: Path) -> None:
    """An array of our own counts, a mapped file does not, elsewhere than on Linux there is no figure."""
    before = private_bytes(tmp_path)
    if not Path("/proc/self/smaps").exists():
        assert before is None
        return
    assert before is not None
    with (tmp_path / "mapped").open("wb") as file:
        for _ in range(32):
            file.write(b"\1" * 1_000_000)
    mapped = np.memmap(tmp_path / "mapped", dtype=np.uint8, mode="r")
    assert mapped.sum() == 32_000_000
    beside = private_bytes(tmp_path)
    # Not from the heap, which may hold room that other tests have left.
    own = mmap.mmap(-1, 32_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    own.write(b"\1" * 32_000_000)
    after = private_bytes(tmp_path)
    assert beside is not None
    assert after is not None
    assert beside - before < 8_000_000
    assert after - beside > 24_000_000
    own.close()


def test_a_chart_without_matplotlib_is_refused_before_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingDependencyError) as caught:
        check(Path("chart.svg"))
    assert caught.value.fix == "pip install 'ctxkit-conformance[bench]'"


def test_the_process_that_opens_anew_gets_the_password() -> None:
    """Options with a secret, also one among headers, arrive as they were given; without it no server lets it in."""
    options = {"conninfo": SecretStr("password=x"), "headers": {"token": SecretStr("y")}, "pool_size": 2}
    assert revealed(options) == {"conninfo": "password=x", "headers": {"token": "y"}, "pool_size": 2}
