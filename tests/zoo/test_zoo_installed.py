"""The zoo as strangers meet it: wheels that pip installed, seen from the command line of another process.

`ZOO_PLUGGY` may name the pluggy to run on, as pip understands it ("pluggy==1.2"); default: what the tests run on.
"""

from __future__ import annotations

import json
import os

import pytest
from wheel_support import Environment
from zoo.animals import BROKEN, ODD, build

ASK = """
import json, sys
from ctxkit.plugins import get_registry
from ctxkit.errors import PluginError
registry = get_registry()
try:
    made = registry.create_tokenizer(sys.argv[1])
except PluginError as exc:
    count = registry.create_tokenizer("good").count("ab")
    print(json.dumps([type(exc).__name__, type(exc.__cause__).__name__, str(exc), count]))
else:
    print(json.dumps(made.count("ab")))
"""
WARNINGS = {f"zoo-{name}" for name in BROKEN}


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Everything in the zoo, installed by pip beside the core and the project's own plugins."""
    folder = tmp_path_factory.mktemp("zoo")
    environment = Environment(folder / "env")
    if pluggy := os.environ.get("ZOO_PLUGGY"):
        environment.install("--upgrade", "--ignore-installed", pluggy, index=True)
    environment.install(*(build(folder, name) for name in (*BROKEN, *ODD)))
    return environment


def allowed(*names: str) -> dict[str, str]:
    """Return the environment that permits only these animals, and the core."""
    return {"CTXKIT_PLUGINS": ",".join(f"zoo-{name}" for name in names)}


def test_the_chosen_pluggy_is_used(zoo: Environment) -> None:
    """The environment runs on the pluggy that was asked for, so that a green run says something about it."""
    found = zoo.run("-c", "from importlib.metadata import version; print(version('pluggy'))").out.strip()
    wanted = os.environ.get("ZOO_PLUGGY", "").partition("==")[2]
    assert found.startswith(wanted)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_plugin_costs_one_warning(zoo: Environment, name: str) -> None:
    """One warning names distribution, entry point, cause and fix; the healthy plugin beside it is listed and ready."""
    animal = BROKEN[name]
    ran = zoo.ctxkit("plugins", "list", "--json", **allowed(name, "good"))
    assert ran.code == 0, ran.err
    [warning] = ran.warnings
    assert f"the plugin {name!r} of zoo-{name} 1.0" in warning
    assert animal.says in warning
    assert "Fix: " in warning
    listed = {each["distribution"]: each for each in ran.json["plugins"]}
    assert listed[f"zoo-{name}"]["status"] == animal.status
    assert animal.says.split("'")[0].split("install")[0] in listed[f"zoo-{name}"]["error"]
    assert listed["zoo-good"]["status"] == "loaded"
    assert {"exact", "good"} <= {each["name"] for each in ran.json["components"]}


@pytest.mark.parametrize("name", BROKEN)
def test_asking_for_its_backend_raises_its_own_cause(zoo: Environment, name: str) -> None:
    """The failed plugin's exception is the cause of the error; the healthy one still makes its tokenizer."""
    ran = zoo.run("-c", ASK, name, **allowed(name, "good"))
    assert ran.code == 0, ran.err
    error, cause, message, count = json.loads(ran.out)
    assert (error, cause, count) == ("PluginLoadError", BROKEN[name].cause, 2)
    assert f"zoo-{name}" in message


def test_one_entry_point_name_in_two_distributions(zoo: Environment) -> None:
    """Both are loaded: an entry point's name need not be unique."""
    ran = zoo.ctxkit("plugins", "list", "--json", **allowed("twin-one", "twin-two"))
    twins = [each for each in ran.json["plugins"] if each["entry_point"] == "twin"]
    assert [(each["distribution"], each["status"]) for each in twins] == [
        ("zoo-twin-one", "loaded"),
        ("zoo-twin-two", "loaded"),
    ]
    assert ran.warnings == []
    for name in ("first", "second"):
        assert json.loads(zoo.run("-c", ASK, name, **allowed("twin-one", "twin-two")).out) == 2


def test_one_backend_name_in_two_distributions(zoo: Environment) -> None:
    """Both are marked, the bare name is refused with the forms that work, and those do."""
    environ = allowed("same-one", "same-two", "good")
    ran = zoo.ctxkit("plugins", "list", "--json", **environ)
    assert {each["name"] for each in ran.json["components"] if each["ambiguous"]} == {"same"}
    assert ran.warnings == []
    assert "ambiguous" in zoo.ctxkit("plugins", "list", **environ).out
    error, _, message, _ = json.loads(zoo.run("-c", ASK, "same", **environ).out)
    assert error == "AmbiguousPluginError"
    assert "zoo-same-one:same, zoo-same-two:same" in message
    assert json.loads(zoo.run("-c", ASK, "zoo-same-two:same", **environ).out) == 2
    refused = zoo.ctxkit("plugins", "show", "same", **environ)
    assert (refused.code, "zoo-same-one:same" in refused.err) == (1, True)
    assert zoo.ctxkit("plugins", "show", "zoo-same-one:same", **environ).code == 0


def test_a_heavy_import_is_measured_and_shown(zoo: Environment) -> None:
    """The list and the check name the library; the list says how long loading took."""
    environ = allowed("heavy", "good")
    listed = {each["distribution"]: each for each in zoo.ctxkit("plugins", "list", "--json", **environ).json["plugins"]}
    assert listed["zoo-heavy"]["heavy"] == ["numpy"]
    assert listed["zoo-good"]["heavy"] == []
    assert listed["zoo-heavy"]["load_ms"] > 0
    assert "importing numpy" in zoo.ctxkit("plugins", "list", COLUMNS="100", **environ).out
    checked = zoo.ctxkit("plugins", "check", "zoo-heavy", "--json")
    assert [each["name"] for each in checked.json["checks"] if each["verdict"] == "failed"] == ["light import"]
    assert checked.json["load_ms"] > 0
    assert checked.code == 1


def test_what_a_plugin_prints_does_not_spoil_json(zoo: Environment) -> None:
    """A plugin that prints while it loads is heard on standard error."""
    ran = zoo.ctxkit("plugins", "list", "--json", **allowed("loud"))
    assert {each["distribution"]: each["status"] for each in ran.json["plugins"]}["zoo-loud"] == "loaded"
    assert "hello from loud" in ran.err
    assert json.loads(zoo.run("-c", ASK, "loud", **allowed("loud")).out.splitlines()[-1]) == 2


def test_the_whole_zoo_at_once(zoo: Environment) -> None:
    """With everything broken at once the listing is complete, one warning names all failures, and the demo works."""
    listed = zoo.ctxkit("plugins", "list", "--json")
    assert listed.code == 0
    assert {each["distribution"] for each in listed.json["plugins"] if each["status"] != "loaded"} == WARNINGS
    [warning] = listed.warnings
    assert all(name in warning for name in WARNINGS)
    shown = zoo.ctxkit("plugins", "list")
    assert (shown.code, shown.out.count("Fix: ")) == (0, len(WARNINGS))
    demo = zoo.ctxkit("demo", "--json")
    assert demo.code == 0, demo.err
    assert demo.json
    assert demo.warnings == listed.warnings
    assert zoo.ctxkit("--help").code == 0


def test_strict_and_denied(zoo: Environment) -> None:
    """CTXKIT_STRICT_PLUGINS=1 makes the first failure an error; a denied plugin is listed as blocked and not loaded."""
    strict = zoo.ctxkit("plugins", "list", CTXKIT_STRICT_PLUGINS="1", **allowed("sys-exit", "good"))
    assert strict.code == 1
    assert "zoo-sys-exit" in strict.err
    denied = zoo.ctxkit("plugins", "list", "--json", CTXKIT_DISABLE_PLUGINS=",".join(sorted(WARNINGS)))
    blocked = {each["distribution"] for each in denied.json["plugins"] if each["status"] == "blocked"}
    assert (blocked, denied.warnings) == (WARNINGS, [])


def test_trace_of_the_zoo(zoo: Environment) -> None:
    """The trace has each call in order, with what came back before a failure and the failure itself."""
    calls = zoo.ctxkit("plugins", "trace", "--json", **allowed("half-way", "good")).json["calls"]
    mine = [each for each in calls if each["plugin"].startswith("zoo-")]
    assert [(each["plugin"], each["hook"], each["returned"]) for each in mine] == [
        ("zoo-good", "import", []),
        ("zoo-good", "ctxkit_tokenizers", ["tokenizer:good"]),
        ("zoo-half-way", "import", []),
        ("zoo-half-way", "ctxkit_tokenizers", ["tokenizer:early"]),
    ]
    assert mine[-1]["error"] == "OSError: half-way"
