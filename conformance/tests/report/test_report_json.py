"""The JSON form: what is written is read back, and what cannot be read says so."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from ctxkit_conformance.report import as_json, read_json, write_json
from ctxkit_conformance.results import SCHEMA, Report

from ctxkit.errors import ConfigError


def test_round_trip(example: Report, tmp_path: Path) -> None:
    """Everything that a report says comes back."""
    path = tmp_path / "new" / "report.json"
    write_json(example, path)
    assert read_json(path) == example


def test_what_follows_is_written_too(example: Report) -> None:
    """A program need not know how outcomes combine."""
    data = json.loads(as_json(example))
    assert next(iter(data)) == "schema"
    assert (data["schema"], data["ok"]) == (SCHEMA, False)
    assert [subject["ok"] for subject in data["subjects"]] == [True, True, True, False, True, True, True, False]
    assert data["subjects"][2]["title"] == "vector_store:faiss (HNSW)"
    law = next(check for check in data["subjects"][3]["checks"] if check["name"] == "law_of_k")
    assert (law["outcome"], len(law["cases"])) == ("failed", 9)


def test_odd_values_do_not_stop_a_report(example: Report, tmp_path: Path) -> None:
    """A NaN, a set, a path and half a character are written as what JSON has for them."""
    odd = {"nan": math.nan, "set": {"b", "a"}, "path": Path("x"), "half": "\ud800", "tuple": (1, 2)}
    path = tmp_path / "report.json"
    write_json(example.model_copy(update={"environment": odd}), path)
    expected = {"nan": None, "set": ["a", "b"], "path": "x", "half": "\ud800", "tuple": [1, 2]}
    assert read_json(path).environment == expected


def test_a_later_report_may_say_more(example: Report, tmp_path: Path) -> None:
    """Fields that this version does not know do no harm."""
    data = json.loads(as_json(example))
    data["weather"] = "fine"
    data["subjects"][0]["checks"][0]["cases"][0]["weather"] = "fine"
    path = tmp_path / "report.json"
    path.write_text(json.dumps(data), encoding="utf-8")
    assert read_json(path) == example


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("\xff\xfe", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("[]", "no report of a conformance run"),
        ("{}", "no report of a conformance run"),
        ('{"schema": "ctxkit-conformance-report/2"}', "report/2"),
        (f'{{"schema": "{SCHEMA}"}}', "broken report: suite_version"),
        (f'{{"schema": "{SCHEMA}", "suite_version": "1", "contract_version": "1", "created": "", "subjects": [{{}}]}}',
         "broken report: subjects.0.kind"),
    ],
)  # fmt: skip
def test_what_is_no_report_says_so(content: str, said: str, tmp_path: Path) -> None:
    """A file of another sort or version gets one typed error with a way out."""
    path = tmp_path / "report.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(ConfigError, match=said) as caught:
        read_json(path)
    assert caught.value.fix
    assert str(path) in caught.value.message


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    """A wrong name is told apart from a broken file; a folder is no report."""
    with pytest.raises(ConfigError, match="there is no report at"):
        read_json(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_json(tmp_path)


def test_a_failed_write_leaves_the_old_file(example: Report, tmp_path: Path) -> None:
    """A reader never meets half a report, and nothing is left beside it."""
    path = tmp_path / "report.json"
    write_json(example, path)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="cannot be written"):
        write_json(example, path / "below a file.json")
    folder = tmp_path / "folder"
    (folder / "taken").mkdir(parents=True)
    with pytest.raises(ConfigError, match="cannot be written"):
        write_json(example, folder)
    assert path.read_bytes() == before
    assert sorted(found.name for found in tmp_path.iterdir()) == ["folder", "report.json"]
