"""`ctxkit plugins check`: each fault is found by the check that is made for it, and by no other."""

from __future__ import annotations

import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cli_support import Cli, assert_error, make_cli
from wheel_support import REQUIRES, make_wheel
from zoo.animals import BASE, BROKEN, HOOK, ODD, PART, build

from ctxkit import __version__
from ctxkit.errors import PluginError, PluginNotFoundError
from ctxkit.plugins import audit as module
from ctxkit.plugins import packages
from ctxkit.plugins.audit import audit
from ctxkit.plugins.ranges import is_within

GOOD = f"{BASE}\n{HOOK}return [tokenizer('good')]\n"
# A configuration that gives other capabilities than those that the animals of the zoo announce.
ESTIMATES = """
    def capabilities(self):
        from ctxkit.interfaces import TokenizerCapabilities
        return TokenizerCapabilities(exact=False)
"""
LAST = ("py.typed", "range of ctxkit-core", "requires-python")
MakeWheel = Callable[..., Path]


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder."""
    return make_cli(tmp_path, monkeypatch, capsys)


@pytest.fixture
def wheel(tmp_path: Path) -> MakeWheel:
    """Write the wheel of a good plugin with something changed."""

    def make(
        source: str = GOOD,
        *,
        part: str = PART,
        files: dict[str, str] | None = None,
        points: tuple[str, ...] = ("acme = acme_plugin",),
        **options: Any,
    ) -> Path:
        if files is None:
            files = {"acme_plugin/__init__.py": source, "acme_plugin/part.py": part, "acme_plugin/py.typed": ""}
        return make_wheel(tmp_path, "acme-plugin", files, entry_points=points, **options)

    return make


def verdicts(target: Path) -> dict[str, str]:
    """Return check -> verdict."""
    return {check.name: check.verdict for check in audit(str(target)).checks}


def failures(target: Path) -> set[str]:
    """Return the checks that failed."""
    return {name for name, verdict in verdicts(target).items() if verdict == "failed"}


def test_a_good_wheel_passes_and_stays_outside_this_process(wheel: MakeWheel) -> None:
    """Every check of a good plugin passes, and nothing of it was imported here."""
    found = audit(str(wheel()))
    assert found.passed
    assert [check.name for check in found.checks] == [
        "entry point",
        "import",
        "hooks",
        "specifications",
        "component tokenizer:good",
        "light import",
        "quiet",
        *LAST,
    ]
    assert (found.distribution, found.version) == ("acme-plugin", "1.0")
    assert found.load_ms is not None
    assert found.load_ms > 0
    assert not any(name.startswith("acme_plugin") for name in sys.modules)


@pytest.mark.parametrize("name", BROKEN)
def test_each_animal_of_the_zoo_fails_its_check(tmp_path: Path, name: str) -> None:
    """A broken plugin fails the check that is about it; what comes after says that it was not reached."""
    found = verdicts(build(tmp_path, name))
    reached = ["import", "hooks", "specifications"]
    expected = dict.fromkeys(("entry point", "light import", "quiet", *LAST), "passed")
    place = reached.index(BROKEN[name].check)
    expected |= dict.fromkeys(reached[:place], "passed") | dict.fromkeys(reached[place + 1 :], "not checked")
    expected[reached[place]] = "failed"
    assert found == expected


@pytest.mark.parametrize(("name", "check"), [("heavy", "light import"), ("loud", "quiet")])
def test_odd_animals(tmp_path: Path, name: str, check: str) -> None:
    """A heavy import and a printed line are each one failure of a plugin that works."""
    assert ODD[name]
    assert failures(build(tmp_path, name)) == {check}


@pytest.mark.parametrize("points", [(), ("one = acme_plugin", "two = acme_plugin.part")])
def test_exactly_one_entry_point(wheel: MakeWheel, points: tuple[str, ...]) -> None:
    """None and two entry points fail, and the code is not run at all."""
    found = verdicts(wheel(points=points))
    assert found.pop("entry point") == "failed"
    assert {found[name] for name in ("import", "hooks", "specifications", "light import", "quiet", "py.typed")} == {
        "not checked"
    }


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("raise OSError('gone')", "gone"),
        (PART.replace("class Characters(Tokenizer)", "class Characters"), "not a subclass of"),
        (PART.replace("class Config(BackendConfig)", "class Config"), "BackendConfig"),
        (PART.replace("def truncate", "def cut"), "does not implement truncate"),
        (PART.replace("width: int = 1", "width: int = 'one'"), "cannot be made from its defaults"),
        (PART.replace("width: int = 1", ESTIMATES), "exact is announced as True, but Config().capabilities() says"),
        ("", "has no attribute"),
    ],
)
def test_factory_and_configuration(wheel: MakeWheel, part: str, says: str) -> None:
    """The classes that a specification names have to be there, whole, and of the right base class."""
    found = audit(str(wheel(part=part)))
    [failed] = [check for check in found.checks if check.verdict == "failed"]
    assert failed.name == "component tokenizer:good"
    assert says in failed.found


def test_an_entry_point_that_is_misspelt(wheel: MakeWheel) -> None:
    """The check of the entry point says which modules there are; nothing is imported to find that out."""
    found = audit(str(wheel(points=("acme = acme_plugni",))))
    [failed] = [check for check in found.checks if check.verdict == "failed"]
    assert failed.name == "entry point"
    assert "no module acme_plugni; it has acme_plugin" in failed.found


def test_a_later_specification_has_its_own_fix(tmp_path: Path) -> None:
    """Whoever announces for a later ctxkit is told about the version, not about classes."""
    [failed] = [check for check in audit(str(build(tmp_path, "future-spec"))).checks if check.verdict == "failed"]
    assert (failed.name, "spec_version" in failed.fix) == ("specifications", True)
    assert failed.found.startswith("IncompatibleSpecError: ")


def test_asynchronous_factory_and_requirements(wheel: MakeWheel) -> None:
    """An async_factory that is not there fails; so does a component whose library is missing here, with its fix."""
    assert failures(wheel(GOOD.replace("'good'", "'good', async_factory='acme_plugin.part:Gone'"))) == {
        "component tokenizer:good"
    }
    assert failures(wheel(GOOD.replace("'good'", "'good', async_factory='acme_plugin.part:Characters'"))) == set()
    found = audit(str(wheel(GOOD.replace("'good'", "'good', requires=('acme_is_not_there',)"))))
    [failed] = [check for check in found.checks if check.verdict == "failed"]
    assert "pip install acme_is_not_there" in failed.found


def test_commands(wheel: MakeWheel) -> None:
    """The commands hook is called too: what it returns has to be pairs of a name and an application."""
    hook = "\n@hookimpl\ndef ctxkit_commands():\n    import typer\n    return [('acme', {})]\n"
    assert verdicts(wheel(GOOD + hook.format("typer.Typer()")))["commands"] == "passed"
    assert failures(wheel(GOOD + hook.format("None"))) == {"commands"}


@pytest.mark.parametrize(
    ("requires", "passes"),
    [
        (REQUIRES, True),
        (("ctxkit_core (<1,>=0.1)",), True),
        (("ctxkit-core[faiss]~=0.1; python_version >= '3.10'",), True),
        (("ctxkit-core==0.1.0",), True),
        (("ctxkit-core>=0.1",), False),
        (("ctxkit-core<1",), False),
        (("ctxkit-core",), False),
        (("ctxkit-core-extras>=0.1,<1",), False),
        (("ctxkit-core>=0.2,<1",), False),
        (("ctxkit-core>=0.0.1,<0.1",), False),
        ((), False),
    ],
)
def test_range_on_the_core(wheel: MakeWheel, requires: tuple[str, ...], passes: bool) -> None:  # noqa: FBT001
    """The dependency on the core has a lower and an upper end, and the core that runs lies between them."""
    assert failures(wheel(requires=requires)) == (set() if passes else {"range of ctxkit-core"})


def test_a_range_that_excludes_this_core_says_so(wheel: MakeWheel) -> None:
    """The author reads both the range and the version, and what to do."""
    [failed] = [each for each in audit(str(wheel(requires=("ctxkit-core>=7,<8",)))).checks if each.verdict == "failed"]
    assert failed.found == f">=7,<8, but this is {__version__}"
    assert "widen the range" in failed.fix


@pytest.mark.parametrize(
    ("wanted", "inside", "outside"),
    [
        (">=0.1,<1", ["0.1", "0.1.0", "0.99.3"], ["0.0.9", "1", "1.0.0"]),
        ("~=0.1.2", ["0.1.2", "0.1.9"], ["0.1.1", "0.2"]),
        ("~=0.1", ["0.1", "0.9"], ["0.0.1", "1.0"]),
        ("==0.1.*", ["0.1", "0.1.5rc1"], ["0.2", "1.1"]),
        ("==0.1", ["0.1.0"], ["0.1.1"]),
        ("!=0.1.3, >0.1", ["0.1.4", "0.1.2"], ["0.1.3", "0.1"]),
        ("<=2,nonsense", ["2.0", "1"], ["2.0.1"]),
    ],
)
def test_ranges_mean_what_they_mean_to_pip(wanted: str, inside: list[str], outside: list[str]) -> None:
    """The signs of PEP 440, on plain numbers."""
    assert all(is_within(version, wanted) for version in inside)
    assert not any(is_within(version, wanted) for version in outside)


@pytest.mark.parametrize(
    ("listing", "says"),
    [
        ("usual = 3", "not callable"),
        ("def usual():\n    raise OSError('no list')", "no list"),
        ("def usual():\n    return ['a-name']", "is no ctxkit.interfaces.models.EmbeddingModel"),
        ("", "has no attribute"),
        (
            (
                "from ctxkit.interfaces.models import EmbeddingModel as M\n\ndef usual():\n    return [M(name='m',"
                " dimension=2, size_mb=1.0, speed='fast', quality='good', on_this_machine=True)]"
            ),
            None,
        ),
    ],
)
def test_models_that_a_specification_lists(wheel: MakeWheel, listing: str, says: str | None) -> None:
    """The function is there, can be called and lists models; what cannot be listed is found here, not by users."""
    source = GOOD.replace("'good'", "'good', models='acme_plugin.part:usual'")
    found = [
        each.found for each in audit(str(wheel(source, part=f"{PART}\n{listing}\n"))).checks if each.verdict != "passed"
    ]
    assert (len(found) == 1 and says in found[0]) if says else found == []


def test_metadata_of_the_package(wheel: MakeWheel) -> None:
    """requires-python and py.typed have to be there; a single module cannot carry the second."""
    assert failures(wheel(requires_python=None)) == {"requires-python"}
    untyped = {"acme_plugin/__init__.py": GOOD, "acme_plugin/part.py": PART}
    assert failures(wheel(files=untyped)) == {"py.typed"}
    single = {"acme_plugin.py": GOOD.replace("{__name__}.part", "acme_part"), "acme_part.py": PART}
    assert failures(wheel(files=single)) == {"py.typed"}


def test_a_crash_is_a_finding(wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plugin that ends the process, or never ends, fails its import check and stops nobody else."""
    found = audit(str(wheel("import os\nos._exit(7)\n")))
    [failed] = [check for check in found.checks if check.verdict == "failed"]
    assert (failed.name, failed.found) == ("import", "the process ended with code 7: it said nothing")
    found = audit(str(wheel("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")))
    assert found.checks[1].found == "the process was killed by SIGKILL: it said nothing"
    monkeypatch.setattr(module, "_PATIENCE", 1)
    found = audit(str(wheel("import time\ntime.sleep(60)\n")))
    assert found.load_ms is None
    assert "did not finish within 1 s" in found.checks[1].found


def test_a_crash_is_laid_to_what_crashed(wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch) -> None:
    """A component whose module ends or blocks the process fails its own check; the plugin's hooks are good."""
    found = audit(str(wheel(part="import os\nos._exit(7)\n")))
    [failed] = [check for check in found.checks if check.verdict == "failed"]
    assert (failed.name, failed.found) == (
        "component tokenizer:good",
        "the process ended with code 7: it said nothing",
    )
    assert found.load_ms is not None
    hook = "\n@hookimpl\ndef ctxkit_commands():\n    import os\n    os._exit(7)\n"
    assert failures(wheel(GOOD + hook)) == {"hooks"}
    # What happens after everything was checked is nobody's fault.
    begun = time.monotonic()
    assert failures(wheel(f"import atexit, os\natexit.register(os._exit, 7)\n{GOOD}")) == set()
    # Long enough to come to the component, however busy the machine is.
    patience = 3 + round(3 * (time.monotonic() - begun))
    monkeypatch.setattr(module, "_PATIENCE", patience)
    slow = audit(str(wheel(part="import time\ntime.sleep(600)\n")))
    said = [each.found for each in slow.checks if each.verdict == "failed"]
    assert said == [f"it did not finish within {patience} s"]


def test_an_author_reads_the_problem_and_one_fix(wheel: MakeWheel) -> None:
    """What is meant for users, such as to upgrade, is left out of the findings."""
    [failed] = [each for each in audit(str(wheel(part="import acme_zz"))).checks if each.verdict == "failed"]
    assert failed.found == (
        "the tokenizer 'good' of the plugin 'acme' of acme-plugin 1.0: ModuleNotFoundError: No module named 'acme_zz'."
    )


def test_project_folder(tmp_path: Path) -> None:
    """A project is built first; one that cannot be built says what its build said."""
    project = tmp_path / "my project"
    package = project / "src" / "acme_plugin"
    package.mkdir(parents=True)
    for name, text in {"__init__.py": GOOD, "part.py": PART, "py.typed": ""}.items():
        (package / name).write_text(text)
    (project / "pyproject.toml").write_text(
        '[build-system]\nrequires = ["hatchling"]\nbuild-backend = "hatchling.build"\n'
        '[project]\nname = "acme-plugin"\nversion = "2.0"\nrequires-python = ">=3.10"\n'
        'dependencies = ["ctxkit-core>=0.1,<1"]\n[project.entry-points.ctxkit]\nacme = "acme_plugin"\n'
        '[tool.hatch.build.targets.wheel]\npackages = ["src/acme_plugin"]\n'
    )
    found = audit(str(project))
    assert (found.passed, found.version) == (True, "2.0")
    assert sorted(each.name for each in project.iterdir()) == ["pyproject.toml", "src"]
    (project / "pyproject.toml").write_text("not toml at all")
    with pytest.raises(PluginError, match="cannot be built"):
        audit(str(project))


def test_a_build_that_never_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose build hangs is given up, with an error."""
    (tmp_path / "setup.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setattr(packages, "_PATIENCE", 1)
    with pytest.raises(PluginError, match="cannot be built: pip did not finish within 1 s"):
        audit(str(tmp_path))


def test_installed_distributions() -> None:
    """The core and the plugins beside it pass their own check, under their full name or without `ctxkit-`."""
    assert audit("ctxkit-core").passed
    assert audit("faiss").passed
    assert audit("faiss").distribution == "ctxkit-faiss"


def test_targets_that_are_none(tmp_path: Path, wheel: MakeWheel) -> None:
    """What is no distribution, no wheel and no project says so, with what to give instead."""
    with pytest.raises(PluginNotFoundError, match="no distribution"):
        audit("acme-nowhere")
    with pytest.raises(PluginNotFoundError, match=r"neither a wheel nor a project.*give a \.whl file"):
        audit(str(tmp_path))
    (tmp_path / "one.py").touch()
    with pytest.raises(PluginNotFoundError, match=r"a single file.*ctxkit -p .*one\.py conformance run KIND:NAME"):
        audit(str(tmp_path / "one.py"))
    with pytest.raises(PluginNotFoundError, match="there is no file"):
        audit(str(tmp_path / "absent.whl"))
    for name, says in (("a" * 5000, "no distribution"), ("a" * 5000 + ".whl", "there is no file")):
        with pytest.raises(PluginNotFoundError, match=says):
            audit(name)
    empty = make_wheel(tmp_path, "acme-two", {"other-1.0.dist-info/METADATA": "Name: other\n"})
    with pytest.raises(PluginError, match="2 files"):
        audit(str(empty))
    with pytest.raises(PluginError, match=r"malformed: 'no equals sign' under .* is not of the form name = value"):
        audit(str(wheel(points=("no equals sign",))))


def test_wheels_that_cannot_be_read(tmp_path: Path, wheel: MakeWheel) -> None:
    """No archive, half of one, a damaged one and a folder are errors, not tracebacks."""
    good = wheel().read_bytes()
    damaged = bytearray(good)
    start = good.index(b"acme_plugin/__init__.py") + len("acme_plugin/__init__.py")
    damaged[start : start + 20] = b"\xff" * 20
    for content in (b"", b"no archive", good[: len(good) // 2], bytes(damaged)):
        (tmp_path / "broken.whl").write_bytes(content)
        with pytest.raises(PluginError, match=r"broken\.whl cannot be read as a wheel: .* Fix: build it again"):
            audit(str(tmp_path / "broken.whl"))
    (tmp_path / "folder.whl").mkdir()
    with pytest.raises(PluginError, match="cannot be read as a wheel"):
        audit(str(tmp_path / "folder.whl"))


@pytest.mark.parametrize("headers", [b"\xff\xfe", b"", b"Name: acme\n", b"Version: 1.0\n"])
def test_metadata_that_says_nothing(tmp_path: Path, headers: bytes) -> None:
    """METADATA without a name and a version, or that is no text, is an error that says so."""
    broken = tmp_path / "acme-1.0-py3-none-any.whl"
    with zipfile.ZipFile(broken, "w") as archive:
        archive.writestr("acme-1.0.dist-info/METADATA", headers)
    with pytest.raises(PluginError, match="says no name or no version"):
        audit(str(broken))


@pytest.mark.parametrize("value", ["no module", ".acme_plugin", "acme_plugin-x:y"])
def test_an_entry_point_that_names_no_module(wheel: MakeWheel, value: str) -> None:
    """The import check says what is wrong with the value."""
    [failed] = [each for each in audit(str(wheel(points=(f"acme = {value}",)))).checks if each.verdict == "failed"]
    assert failed.name == "import"
    assert "is not of the form package.module" in failed.found


def test_command(cli: Cli, wheel: MakeWheel) -> None:
    """The command says each verdict; a failure comes with its meaning and fix, and with exit code 1."""
    good = cli("plugins", "check", str(wheel()))
    assert good.code == 0
    assert good.out.startswith("acme-plugin 1.0\n")
    assert "10 of 10 checks passed; loading took" in good.out
    assert "Fix: " not in good.out
    bad = cli("plugins", "check", str(wheel("import acme_is_not_there")))
    assert bad.code == 1
    assert "not checked" in bad.out
    assert "Why: " in bad.out
    assert "Fix: " in bad.out
    described = cli("plugins", "check", str(wheel(requires=())), "--json")
    assert described.code == 1
    assert described.json["passed"] is False
    assert {frozenset(each) for each in described.json["checks"]} == {
        frozenset({"name", "verdict", "found", "meaning", "fix"})
    }
    assert_error(cli("plugins", "check", "acme-nowhere"), "acme-nowhere")


def test_a_denied_plugin_is_checked(cli: Cli, wheel: MakeWheel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever names a plugin wants that one, whatever the variables say about loading it."""
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "acme-plugin")
    monkeypatch.setenv("CTXKIT_STRICT_PLUGINS", "1")
    assert cli("plugins", "check", str(wheel())).code == 0
