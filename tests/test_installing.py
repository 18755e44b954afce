"""A missing distribution comes with a line that installs it: from an index, or from the clone at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from ctxkit.plugins import installing
from ctxkit.plugins.installing import localized, pip_install


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a clone with one plugin and the suite, and have the core run from it."""
    folder = tmp_path / "a clone"
    for name in ("plugins/ctxkit-acme", "conformance"):
        (folder / name).mkdir(parents=True)
        (folder / name / "pyproject.toml").touch()
    monkeypatch.setattr(installing, "_ROOT", folder)
    return folder


def test_in_a_clone_the_folders_are_named(clone: Path) -> None:
    """What the clone holds is installed from it, with its extras and quoted; everything else from an index."""
    assert pip_install("ctxkit-acme[fast]", "usearch") == f"pip install -e '{clone}/plugins/ctxkit-acme[fast]' usearch"
    assert pip_install("ctxkit-conformance") == f"pip install -e '{clone}/conformance'"
    assert pip_install("ctxkit-stranger", "conformance") == "pip install ctxkit-stranger conformance"


def test_from_an_index_names_are_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a core that came as a wheel, the name is all; brackets are quoted for the shell."""
    monkeypatch.setattr(installing, "_ROOT", tmp_path)
    assert pip_install("ctxkit-acme[fast]", "usearch") == "pip install 'ctxkit-acme[fast]' usearch"


@pytest.mark.usefixtures("clone")
def test_hints_that_are_more_than_names_stay_as_they_are() -> None:
    """Only `pip install` with names is rewritten."""
    assert localized("pip install ctxkit-acme") == pip_install("ctxkit-acme")
    for hint in (
        "",
        "pip install --upgrade ctxkit-acme",
        "conda install ctxkit-acme",
        "pip install acme; apt install g++",
    ):
        assert localized(hint) == hint
