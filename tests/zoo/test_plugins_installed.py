"""Entry points read without importlib.metadata are those that importlib.metadata reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from importlib import metadata
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

import pytest

from ctxkit.plugins.installed import entry_points, installed, load_entry_point

METADATA = "Metadata-Version: 2.1\nName: {name}\nVersion: {version}\nDescription-Content-Type: text/plain\n\n{readme}"
Found = list[tuple[str | None, str | None, list[tuple[str, str]]]]


def found(group: str, path: Sequence[str] | None = None) -> Found:
    """Return what our reader finds: name, version, and entry points of the group."""
    return sorted(
        (each.name, each.version, entry_points(each.text, group))
        for each in installed(group, path)
        if entry_points(each.text, group)
    )


def expected(group: str, path: Sequence[str] | None = None) -> Found:
    """Return what importlib.metadata finds."""
    distributions = metadata.distributions() if path is None else metadata.distributions(path=list(path))
    everything = [
        (each.metadata["Name"], each.version, [(at.name, at.value) for at in each.entry_points if at.group == group])
        for each in distributions
    ]
    return sorted(each for each in everything if each[2])


def describe(info: Path, name: str, version: str = "1.0", file: str = "METADATA", points: str = "x = acme:y") -> None:
    """Write the metadata of a distribution with one entry point and a README that looks like headers."""
    info.mkdir(parents=True)
    (info / file).write_text(METADATA.format(name=name, version=version, readme="Name: no\nVersion: no\n"))
    (info / "entry_points.txt").write_text(f"[console_scripts]\nacme = acme:main\n\n[ctxkit]\n# why\n{points}\n")


@pytest.fixture(autouse=True)
def _pythons_own_finders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out finders of distributions that are not Python's own: they would turn our reader off."""
    others = [each for each in sys.meta_path if hasattr(each, "find_distributions") and each is not PathFinder]
    monkeypatch.setattr(sys, "meta_path", [each for each in sys.meta_path if each not in others])


@pytest.mark.parametrize("group", ["ctxkit", "console_scripts", "pytest11", "distutils.commands"])
def test_this_environment(group: str) -> None:
    """In the environment of the tests, editable installs included, both find the same."""
    assert found(group) == expected(group)


def test_this_environment_has_something_to_find() -> None:
    """The comparison above says something: there are entry points of ours and of others."""
    assert "ctxkit-core" in [name for name, _, _ in found("ctxkit")]
    assert len(found("console_scripts")) > 5


def test_every_form_of_a_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders, develop installs, eggs, wheels and other zip files, the current folder, and places that are none."""
    describe(tmp_path / "site" / "acme_one-1.0.dist-info", "acme-one", points="x = acme.deep : y.z [extra]\ny=acme")
    describe(tmp_path / "site" / "Acme.Two-1.0.DIST-INFO", "Acme.Two")
    (tmp_path / "site" / "acme_three-1.0.egg-info").write_text("Name: acme-three\nVersion: 1.0\n")
    describe(tmp_path / "develop" / "acme_four.egg-info", "acme-four", file="PKG-INFO")
    describe(tmp_path / "acme_five-1.0-py3.11.egg" / "EGG-INFO", "acme-five", file="PKG-INFO")
    describe(tmp_path / "zip" / "acme_six-1.0.dist-info", "acme-six")
    shutil.make_archive(str(tmp_path / "acme_six"), "zip", tmp_path / "zip")
    describe(tmp_path / "here" / "acme_seven-1.0.dist-info", "acme-seven")
    (tmp_path / "text").write_text("no zip file")
    monkeypatch.chdir(tmp_path / "here")
    places = ["site", "develop", "acme_five-1.0-py3.11.egg", "acme_six.zip", "acme_six.zip/lib", "gone", "text"]
    path = ["", *(str(tmp_path / place) for place in places)]
    both = found("ctxkit", path)
    assert [name for name, _, _ in both] == [
        "Acme.Two",
        *(f"acme-{n}" for n in ("five", "four", "one", "seven", "six")),
    ]
    assert both == expected("ctxkit", path)
    assert {name: points for name, _, points in both}["acme-one"] == [
        ("x", "acme.deep : y.z [extra]"),
        ("y", "acme"),
    ]


def test_headers_end_before_the_readme(tmp_path: Path) -> None:
    """What a README says is no name and no version."""
    describe(tmp_path / "acme-1.0.dist-info", "acme")
    (tmp_path / "acme-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\n\nName: no\nVersion: no\n")
    assert [(each.name, each.version) for each in installed("ctxkit", [str(tmp_path)])] == [(None, None)]


def test_a_path_of_other_types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody put on sys.path as a Path or as bytes stops nothing."""
    describe(tmp_path / "acme-1.0.dist-info", "acme")
    monkeypatch.setattr(sys, "path", [tmp_path, bytes(tmp_path)])
    assert [each.name for each in installed("ctxkit")] == ["acme", "acme"]


def test_the_first_of_two(tmp_path: Path) -> None:
    """Of two versions on the path both are found, in the order of the path."""
    for place, version in (("first", "2.0"), ("second", "1.0")):
        describe(tmp_path / place / f"acme-{version}.dist-info", "acme", version)
    path = [str(tmp_path / "first"), str(tmp_path / "second")]
    assert [each.version for each in installed("ctxkit", path)] == ["2.0", "1.0"]
    assert found("ctxkit", path) == expected("ctxkit", path)


def test_another_finder_of_distributions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only a finder of somebody else's knows is found too."""
    describe(tmp_path / "hidden" / "acme-1.0.dist-info", "acme")

    class Finder(metadata.DistributionFinder):
        def find_spec(self, *_: Any) -> None:
            return None

        def find_distributions(self, context: Any = None) -> list[metadata.Distribution]:
            del context
            return [metadata.PathDistribution(tmp_path / "hidden" / "acme-1.0.dist-info")]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder()])
    assert [each.name for each in installed("ctxkit", [])] == ["acme"]
    assert found("ctxkit") == expected("ctxkit")


def test_a_plugin_inside_a_zip_file(tmp_path: Path) -> None:
    """A wheel on the path, which Python imports from as it is, works as a plugin."""
    describe(tmp_path / "acme-1.0.dist-info", "acme", points="x = acme_zipped")
    wheel = tmp_path / "acme-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("acme_zipped.py", "from ctxkit.defaults.hooks import ctxkit_tokenizers\n")
        for path in (tmp_path / "acme-1.0.dist-info").iterdir():
            archive.write(path, f"acme-1.0.dist-info/{path.name}")
    code = f"""
import sys
sys.path.insert(0, {str(wheel)!r})
from ctxkit.plugins import PluginRegistry
print([(each.distribution, each.status) for each in PluginRegistry.discover(path=sys.path[:1]).plugins])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[('acme', 'loaded')]", "")


def test_listing_does_without_importlib_metadata(tmp_path: Path) -> None:
    """Plain folders are read without the modules that make importlib.metadata slow to import."""
    describe(tmp_path / "acme-1.0.dist-info", "acme", points="x = ctxkit.defaults.hooks")
    code = f"""
import sys
sys.meta_path = [finder for finder in sys.meta_path if finder.__module__.startswith("_frozen_importlib")]
for name in [name for name in sys.modules if name.startswith("importlib.metadata")]:
    del sys.modules[name]
from ctxkit.plugins import PluginRegistry
assert PluginRegistry.discover({{}}, path=[{str(tmp_path)!r}]).components("tokenizer")
print("importlib.metadata" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("False", "")


@pytest.mark.parametrize("value", ["os.path", "os.path:join", "os : path.join", "os.path:join [extra]"])
def test_loading_is_the_same(value: str) -> None:
    """What a value names is what importlib.metadata makes of it."""
    assert load_entry_point(value) is metadata.EntryPoint("x", value, "ctxkit").load()


@pytest.mark.parametrize("value", ["", "no good", "acme-db", ".acme", "acme..db", "acme/db.py", ":y"])
def test_values_that_name_nothing(value: str) -> None:
    """A value that can be no module says so, instead of a missing module of a strange name."""
    with pytest.raises(ValueError, match=r"is not of the form package\.module"):
        load_entry_point(value)
