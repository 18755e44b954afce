"""Checks one plugin as a stranger would install it: its metadata as it stands, its code in a process of its own."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal, TypeAlias

from ctxkit.errors import PluginError
from ctxkit.hookspecs import ENTRY_POINT_GROUP
from ctxkit.plugins.component import normalized
from ctxkit.plugins.installed import entry_points, root_of, top_level
from ctxkit.plugins.packages import Package, opened
from ctxkit.plugins.ranges import is_within

CORE = "ctxkit-core"
Verdict: TypeAlias = Literal["passed", "failed", "not checked"]
_PATIENCE = 120  # seconds that loading a plugin may take
_REQUIREMENT = re.compile(r"^\s*([A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?")


@dataclass(frozen=True)
class Check:
    """One question and its answer: what was found, what it means to users, and how to put it right."""

    name: str
    verdict: Verdict
    found: str
    meaning: str
    fix: str


@dataclass(frozen=True)
class Audit:
    """All checks of one plugin. `load_ms`: milliseconds that its import and its hooks took (None: not loaded)."""

    target: str
    distribution: str
    version: str
    load_ms: float | None
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.verdict == "passed" for check in self.checks)

    def as_dict(self) -> dict[str, Any]:
        """Return the audit as plain JSON values."""
        return {**asdict(self), "checks": [asdict(check) for check in self.checks], "passed": self.passed}


def audit(target: str) -> Audit:
    """Check an installed distribution, a wheel or the folder of a project; never imports it into this process.

    Raises PluginNotFoundError when there is no such thing, and PluginError when it cannot be read or built.
    """
    with opened(target) as package:
        points = _entry_points(package)
        entry = _entry_point_check(points, top_level(path.parts for path in package.distribution.files or ()))
        probed = _probe(package, *points[0]) if entry.verdict == "passed" else {}
        checks = (entry, *_loading(probed), *_metadata(package, probed))
        load_ms = probed["record"]["load_ms"] if "record" in probed else None
        return Audit(target, package.name, package.version, load_ms, checks)


def _entry_points(package: Package) -> list[tuple[str, str]]:
    try:
        return entry_points(package.distribution.read_text("entry_points.txt") or "", ENTRY_POINT_GROUP)
    except ValueError as exc:
        raise PluginError(
            f"entry_points.txt of {package.name} is malformed: {exc}.",
            fix=f'write `name = "package"` under [project.entry-points.{ENTRY_POINT_GROUP}] in pyproject.toml.',
        ) from exc


def _entry_point_check(points: list[tuple[str, str]], modules: list[str]) -> Check:
    found = f"{', '.join(value for _, value in points) or 'none'} in the group {ENTRY_POINT_GROUP}"
    named = {root for _, value in points if (root := root_of(value)).isidentifier()}
    absent = sorted(named - {*modules}) if modules else []
    if absent:
        found += f", but the distribution has no module {' and '.join(absent)}; it has {', '.join(modules)}"
    return Check(
        "entry point",
        "passed" if len(points) == 1 and not absent else "failed",
        found,
        "ctxkit finds a plugin through exactly one entry point; without it the plugin is never seen.",
        f'put one line `name = "package"` under [project.entry-points.{ENTRY_POINT_GROUP}] in pyproject.toml.',
    )


def _probe(package: Package, point: str, value: str) -> dict[str, Any]:
    """Run the probe in a process of its own; a crash or a hang is a finding too, about what was being tried."""
    with tempfile.TemporaryDirectory(prefix="ctxkit-probe-") as scratch:
        result = Path(scratch) / "findings.json"
        folder = [] if package.folder is None else [str(package.folder)]
        command = [sys.executable, "-m", "ctxkit.plugins.probe", str(result), package.name, package.version]
        try:
            done = subprocess.run(  # noqa: S603 - the interpreter that runs, on what the user names
                [*command, point, value, *folder],
                cwd=scratch,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            ending, printed = f"it did not finish within {_PATIENCE} s", ""
        else:
            ending, printed = how_it_ended(done), done.stdout
        findings: dict[str, Any] = json.loads(result.read_text(encoding="utf-8")) if result.is_file() else {}
        trying = findings.get("trying", "import")
        if trying in findings.get("components", {}):
            findings["components"][trying] = ending
        elif trying is not None:
            findings["crash"] = ending
        return {**findings, "printed": printed}


def how_it_ended(done: subprocess.CompletedProcess[str]) -> str:
    """Return how a process ended that did not come to its end."""
    last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    if done.returncode < 0:
        names = {each.value: each.name for each in signal.Signals}  # signals of real time have no name
        return f"the process was killed by {names.get(-done.returncode, 'a signal')}: {last}"
    return f"the process ended with code {done.returncode}: {last}"


def _loading(probed: Mapping[str, Any]) -> Iterator[Check]:
    """Yield the checks of the plugin's code, those that were not reached included."""
    calls = probed.get("calls", [])
    error = probed.get("crash") or (probed["record"]["error"] if "record" in probed else None)
    imported = bool(calls) and calls[0]["error"] is None
    called = [call for call in calls[1:] if call["hook"] != "ctxkit_commands"]
    unread = imported and error is not None and not any(call["error"] for call in called)
    yield _check(
        "import",
        imported if probed else None,
        f"in {calls[0]['ms']:.1f} ms" if imported else str(error),
        "a plugin whose module cannot be imported offers nothing, and warns at every start.",
        "import the module that the entry point names in an empty environment, and repair what it says.",
    )
    yield _check(
        "hooks",
        None if not imported else not unread,
        str(error) if unread else f"{len(calls) - 1} called",
        "a misspelled hook, an unknown argument or a missing @hookimpl keeps the plugin from being loaded.",
        "mark each hook with @ctxkit.hookspecs.hookimpl and copy its name and arguments from ctxkit.hookspecs.",
    )
    returned = [name for call in called for name in call["returned"]]
    newer = "record" in probed and probed["record"]["status"] == "incompatible"
    yield _check(
        "specifications",
        None if not imported or unread else error is None,
        str(error) if error else ", ".join(returned) or "no components",
        "each hook returns a list of BackendSpecs that this version of ctxkit understands.",
        f"leave spec_version out, or check it with a {CORE} that knows this one."
        if newer
        else "return ctxkit.interfaces.BackendSpec objects with the capabilities class of their kind.",
    )
    yield from _components(probed)
    yield from _behaviour(probed)


def _components(probed: Mapping[str, Any]) -> Iterator[Check]:
    for name, error in probed.get("components", {}).items():
        yield _check(
            f"component {name}",
            error is None,
            error or "class and configuration can be imported, and agree with the announcement",
            "users ask for a component by name, and choose it by the capabilities that it announces.",
            "let `factory` name a complete subclass of the interface and `config` a BackendConfig whose defaults have "
            "the announced capabilities, and run the check where the libraries in `requires` are installed.",
        )
    for call in probed.get("calls", []):
        if call["hook"] == "ctxkit_commands":
            yield _check(
                "commands",
                call["error"] is None,
                call["error"] or ", ".join(call["returned"]) or "none",
                "the hook adds sub-commands to `ctxkit`.",
                "return (name, typer.Typer) pairs from ctxkit_commands.",
            )


def _behaviour(probed: Mapping[str, Any]) -> Iterator[Check]:
    loaded = "record" in probed
    heavy = probed["record"]["heavy"] if loaded else []
    yield _check(
        "light import",
        not heavy if loaded else None,
        f"imports {', '.join(heavy)}" if heavy else "imports no heavy library",
        "every command and every program that uses ctxkit pays for what a plugin imports, whether it uses it or not.",
        "import the library in the module that `factory` names, not in the one that the entry point names.",
    )
    printed = " ".join(str(probed.get("printed", "")).split())
    yield _check(
        "quiet",
        not printed if loaded else None,
        f"prints {printed[:60]!r}" if printed else "prints nothing",
        "what a plugin prints gets between the lines of the program that uses it.",
        "take out the print calls, or use the module logging.",
    )


def _metadata(package: Package, probed: Mapping[str, Any]) -> Iterator[Check]:
    yield _check(
        "py.typed",
        probed.get("typed"),
        "py.typed is in the package" if probed.get("typed") else "py.typed is not in the package",
        "without it type checkers treat everything that the plugin exports as Any.",
        "put an empty file py.typed beside the package's __init__.py; a single module cannot carry one.",
    )
    if normalized(package.name) != CORE:
        yield _core_range(package.distribution.requires or [])
    python = package.distribution.metadata.get_all("Requires-Python") or [""]
    yield _check(
        "requires-python",
        bool(python[0]),
        python[0] or "not said",
        "pip installs a release on Pythons that it does not run on, unless the metadata says which ones it needs.",
        'put `requires-python = ">=3.10"` under [project] in pyproject.toml.',
    )


def _core_range(requires: list[str]) -> Check:
    """Return the check of the version range on the core: it needs both ends, with the core that runs between them."""
    ranges = [match[2].strip() for each in requires if (match := _REQUIREMENT.match(each)) and _is_core(match[1])]
    found = ranges[0] if ranges else "no dependency on it"
    exact = "==" in found or "~=" in found
    bounded = bool(ranges) and (exact or ("<" in found and ">" in found))
    running = metadata.version(CORE)
    if bounded and not is_within(running, found):
        return _check(
            f"range of {CORE}",
            False,  # noqa: FBT003 - the verdict
            f"{found}, but this is {running}",
            "pip refuses to install it beside this ctxkit; where it is installed all the same, nobody tried the two.",
            f"try it with {CORE} {running} and widen the range, or install a {CORE} that is within it.",
        )
    return _check(
        f"range of {CORE}",
        bounded,
        found or "any version",
        "a release made for this ctxkit would be installed beside a later, incompatible one.",
        f'depend on "{CORE}>=0.1,<1": the oldest version that it works with, and the next major one excluded.',
    )


def _is_core(name: str) -> bool:
    return normalized(name) == CORE


def _check(name: str, passed: bool | None, found: str, meaning: str, fix: str) -> Check:  # noqa: FBT001 - a verdict
    if passed is None:
        return Check(name, "not checked", "an earlier check failed", meaning, "repair that one first.")
    return Check(name, "passed" if passed else "failed", found, meaning, fix)
