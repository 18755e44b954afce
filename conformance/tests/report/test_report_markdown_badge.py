"""The small forms for a README: a Markdown table and a badge."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from ctxkit_conformance.report import as_badge, as_markdown, badge_name, write_badge, write_markdown
from ctxkit_conformance.report.tiers import TIERS
from ctxkit_conformance.results import Report, SubjectResult

SVG = "{http://www.w3.org/2000/svg}"


def rows_of(text: str) -> list[list[str]]:
    """Return the cells of all table rows."""
    return [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in text.splitlines() if line[:1] == "|"]


def test_every_tier_has_a_row_and_every_component_a_column(example: Report) -> None:
    """The table shows the whole matrix, with a level for each component."""
    rows = rows_of(as_markdown(example))
    assert rows[0] == ["Vector stores", "**exact**", "**faiss**", "**faiss (HNSW)**", "**acme**"]
    assert rows[2] == ["level", "**shared**", "**correct**", "**none**", "**none**"]
    assert [row[0] for row in rows[3:14]] == [tier.title for tier in TIERS["vector_store"]]
    assert {len(row) for row in rows[:14]} == {5}
    search = next(row for row in rows if row[0] == "T2 search")
    assert search[1:] == ["✓ 10 passed", "✓ 10 passed", "✓ 10 passed", "✗ 1 crashed, 3 failed, 6 passed"]
    assert [row[0] for row in rows if row[0] in {"Embedders", "Tokenizers", "Language models"}] == [
        "Embedders", "Tokenizers", "Language models",
    ]  # fmt: skip


def test_the_table_says_how_it_was_made(example: Report) -> None:
    """A reader of a README can tell a whole run from a part of one."""
    assert "Contract 1.0, suite 0.1.0, seed 0, 2026-11-22 17:05 UTC" in as_markdown(example)
    part = example.model_copy(update={"partial": "tier T3", "thorough": True})
    assert "thorough" in as_markdown(part)
    assert "only tier T3" in as_markdown(part)
    assert "not examined yet" not in as_markdown(part)
    assert "not examined yet: llm:acme" in as_markdown(example.model_copy(update={"missing": ["llm:acme"]}))


def test_a_name_breaks_no_table(example: Report) -> None:
    """A pipe, a tag or a line end in a name stays inside its cell."""
    odd = example.subjects[0].model_copy(update={"variant": "a|b <img src=x>\n`c`"})
    text = as_markdown(example.model_copy(update={"subjects": [odd]}))
    assert "<img" not in text
    assert len(text.splitlines()[0].replace("\\|", "").split("|")) == 4
    assert len(rows_of(text)) == 14


def test_the_table_is_written(example: Report, tmp_path: Path) -> None:
    """The file holds the same text."""
    write_markdown(example, tmp_path / "matrix.md")
    assert (tmp_path / "matrix.md").read_text(encoding="utf-8") == as_markdown(example)


@pytest.mark.parametrize(("number", "word"), [(0, "shared"), (1, "correct"), (2, "no level"), (3, "failing")])
def test_a_badge_says_what_was_reached(example: Report, number: int, word: str) -> None:
    """The word stands in the picture and in its name for those who do not see it."""
    subject = example.subjects[number]
    picture = ET.fromstring(as_badge(subject))  # noqa: S314 - it was made on the line above
    texts = picture.findall(f".//{SVG}text")
    assert [text.text for text in texts] == ["ctxkit", word]
    assert picture.get("aria-label") == f"{subject.title}: {word}"
    middles = [float(text.get("x", "0")) for text in texts]
    widths = [float(text.get("textLength", "0")) for text in texts]
    assert middles[0] + widths[0] / 2 < middles[1] - widths[1] / 2
    assert middles[1] + widths[1] / 2 < float(picture.get("width", "0"))


def test_a_badge_holds_no_markup_of_a_name(example: Report) -> None:
    """A hostile name is text in the picture."""
    odd = example.subjects[0].model_copy(update={"variant": '"><script>x</script>'})
    picture = ET.fromstring(as_badge(odd))  # noqa: S314
    assert picture.findall(f".//{SVG}script") == []
    assert '"><script>x</script>' in (picture.get("aria-label") or "")


def test_badges_have_names_of_their_own(example: Report, tmp_path: Path) -> None:
    """One component's badge does not overwrite another's, and a name leads nowhere else."""
    paths = [tmp_path / "badges" / badge_name(subject) for subject in example.subjects]
    for path, subject in zip(paths, example.subjects, strict=True):
        write_badge(subject, path)
    assert [path.name for path in paths][:4] == [
        "vector_store-exact.svg", "vector_store-faiss.svg", "vector_store-faiss-hnsw.svg", "vector_store-acme.svg",
    ]  # fmt: skip
    assert len(set(paths)) == len(example.subjects)
    assert all(path.read_text(encoding="utf-8").startswith("<svg") for path in paths)
    odd = SubjectResult(kind="llm", name="../../Etc Passwd", qualified_name="", variant="a/b")
    assert badge_name(odd) == "llm-etc-passwd-a-b.svg"
