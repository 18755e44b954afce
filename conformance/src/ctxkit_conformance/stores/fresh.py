"""What the checks of an announcement do in a fresh interpreter, where nothing has been imported or opened yet.

Run as `main(QUESTION, ANSWER)`, two files of JSON; imports nothing heavy itself.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any, Final

PATIENCE: Final = 120.0  # seconds, of which importing a large library takes some
NEEDED_BY_CTXKIT: Final = frozenset({"numpy", "pluggy", "pydantic", "rich", "typer", "typing_extensions"})

_START: Final = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); import {name}; {name}.main(*sys.argv[2:])"
_NETWORK: Final = frozenset({"socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto"})


def ask(task: str, question: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return what a task, `announced` or `imported`, answers in a fresh interpreter; fails the check when that dies.

    Beside its own parts a question may have `hidden`, names of modules. An answer has `network`, the attempts to reach
    it, and `error`, the exception that ended the task or None.
    """
    with tempfile.TemporaryDirectory() as folder:
        asked, answered = Path(folder, "question.json"), Path(folder, "answer.json")
        asked.write_text(json.dumps({"task": task, **question}), encoding="utf-8")
        start = _START.format(name=__name__)
        command = [sys.executable, "-c", start, json.dumps(sys.path), str(asked), str(answered)]
        run = subprocess.run(  # noqa: S603 - this very interpreter
            command,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=PATIENCE,
            env={**os.environ, **(environment or {})},
        )
        printed = (run.stderr or run.stdout)[-3000:].strip()
        assert answered.exists(), f"a fresh interpreter ended with exit code {run.returncode}:\n{printed}"
        found: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
    return found


def main(question: str, answer: str) -> None:
    """Do what the file of the question asks for and write down what came of it."""
    asked = json.loads(Path(question).read_text(encoding="utf-8"))
    guard = Guard()
    sys.addaudithook(guard.heard)
    found: dict[str, Any] = {"network": guard.attempts, "error": None}
    try:
        hide(asked.get("hidden", []))
        _TASKS[asked["task"]](asked, found)
    except BaseException as exc:  # noqa: BLE001 - sys.exit at import is a finding as well
        found["error"] = {
            "type": type(exc).__name__,
            "is_import_error": isinstance(exc, ImportError),
            "message": str(exc),
            "fix": getattr(exc, "fix", None),
            "trace": "".join(traceback.format_exception(exc)[-6:]),
        }
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def announced(question: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Find a component by name, then import its classes, make its configuration, list its collections and open one.

    Answers what the first step alone imported of what is heavy or required, and what the names led to.
    """
    from ctxkit.plugins import PluginRegistry, construction  # noqa: PLC0415 - the task itself, under observation
    from ctxkit.plugins.heavy import heavy_modules  # noqa: PLC0415

    before = heavy_modules()
    registry = PluginRegistry.discover()
    if question["load"]:
        registry.load_path(question["load"])
    component = registry.find("vector_store", question["name"])
    found["heavy"] = sorted(heavy_modules() - before)
    found["required"] = [name for name in component.spec.requires if name.partition(".")[0] in sys.modules]
    found["spec"] = component.spec.model_dump(mode="json")
    model, store = construction.load_config_class(component), construction.load_factory(component)
    found["classes"] = [_name(store), _name(model)]
    _use(store, model, question)


def imported(question: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Import a store and its configuration from their modules, then use them as `announced` does."""
    from ctxkit_conformance import preloading  # noqa: PLC0415

    classes: list[Any] = []
    for module, file, name in question["classes"]:
        preloading.load({module: file})
        target: Any = sys.modules[module]
        for part in name.split("."):
            target = getattr(target, part)
        classes.append(target)
    found["classes"] = [_name(each) for each in classes]
    store, model = classes
    _use(store, model, question)


_TASKS: Final[Mapping[str, Callable[[Mapping[str, Any], dict[str, Any]], None]]] = {
    "announced": announced,
    "imported": imported,
}


def _use(store: Any, model: Any, question: Mapping[str, Any]) -> None:
    from ctxkit.interfaces import CollectionSpec  # noqa: PLC0415 - needs numpy

    if question["values"] is not None:
        config = model.model_validate(question["values"])
        store.list_collections(config)
        store.open(CollectionSpec.model_validate(question["spec"]), config).close()


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


class Guard:
    """Hears of every attempt to reach the network through Python's sockets, writes it down and forbids it."""

    def __init__(self) -> None:
        self.attempts: list[str] = []

    def heard(self, event: str, arguments: Sequence[Any]) -> None:
        """Judge one event of the interpreter; sockets of this machine's own file system are free."""
        if event not in _NETWORK:
            return
        address = arguments[1] if event in {"socket.connect", "socket.sendto"} else arguments[0]
        if isinstance(address, str | bytes) and event == "socket.connect":
            return
        frames = [frame for frame in traceback.extract_stack()[:-1] if not frame.filename.startswith("<")]
        place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}" if frames else "native code"
        self.attempts.append(f"{event} to {address!r} in {place}")
        raise OSError("the network is out of bounds here")


class Hiding:
    """A finder that asks the others, but never about some modules, as if those were not installed."""

    def __init__(self, hidden: Iterable[str], others: Sequence[Any]) -> None:
        self._hidden = frozenset(hidden)
        self._others = list(others)

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> ModuleSpec | None:
        """Return what the others find, None for a hidden module."""
        if name.partition(".")[0] in self._hidden:
            return None
        for other in self._others:
            spec: ModuleSpec | None = other.find_spec(name, path, target)
            if spec is not None:
                return spec
        return None


def hide(modules: Iterable[str]) -> None:
    """Make top-level modules unimportable in this process."""
    hidden = {name.partition(".")[0] for name in modules} - NEEDED_BY_CTXKIT
    if hidden:
        for name in [name for name in sys.modules if name.partition(".")[0] in hidden]:
            del sys.modules[name]
        sys.meta_path[:] = [Hiding(hidden, sys.meta_path)]
