"""The pytest plugin: the options of a run, and what becomes of each check.

Every pytest session of an environment that has the suite loads it, so it imports little, and does nothing to tests that
are no checks.
"""

from __future__ import annotations

import json
import signal
import traceback
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from ctxkit_conformance.known import KnownFailure, KnownFailures
    from ctxkit_conformance.marks import Marks
    from ctxkit_conformance.subject import Subject

# Before they are imported: a failed check then shows the values it compared.
_CHECKS: Final = ("stores", "embedders", "tokenizers", "llms")
pytest.register_assert_rewrite(*(f"ctxkit_conformance.{package}" for package in _CHECKS))

_MARKS: Final[pytest.StashKey[Marks]] = pytest.StashKey()
_KNOWN: Final[pytest.StashKey[KnownFailure]] = pytest.StashKey()
_LONGEST: Final = 4_000  # characters of a failure's message
_examined: list[Subject] = []


def examined() -> Subject | None:
    """Return the component that this session examines, None when none was named."""
    return _examined[-1] if _examined else None


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of a conformance run."""
    group = parser.getgroup("ctxkit", "conformance of a ctxkit component")
    add = group.addoption
    add("--ctxkit-backend", metavar="KIND:NAME", help="Examine this component, for example vector_store:faiss.")
    add(
        "--ctxkit-config",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="An option of the component; the value is read as JSON if it is, else as text.",
    )
    add("--ctxkit-variant", metavar="NAME", default="", help="Examine a configuration that the harness offers.")
    add("--ctxkit-plugin", metavar="MODULE_OR_FILE", action="append", default=[], help="Load this plugin too.")
    add("--ctxkit-tier", metavar="TIER", action="append", default=[], help="Only this tier, for example T3.")
    add("--ctxkit-seed", metavar="N", type=int, default=0, help="Seed of everything random (default: 0).")
    add("--ctxkit-thorough", action="store_true", help="Try ten times as often where chance plays a part.")
    add("--ctxkit-reversed", action="store_true", help="Run the checks in reversed order: nothing may change.")
    add("--ctxkit-known-failures", metavar="FILE", help="Failures that are known, with reasons and links.")
    add("--ctxkit-events", help="Write what happens to this file, a JSON object per line.")
    add("--ctxkit-done", help="Leave out the cases that this file names, one per line.")


def pytest_configure(config: pytest.Config) -> None:
    """Find the component before anything is collected."""
    target = config.getoption("ctxkit_backend")
    if target is None:
        if any(argument.partition(".")[0] == "ctxkit_conformance" for argument in config.invocation_params.args):
            raise pytest.UsageError("say what to examine: --ctxkit-backend KIND:NAME, for example vector_store:faiss.")
        return
    from ctxkit.errors import CtxkitError  # noqa: PLC0415 - sessions that examine nothing stay light

    try:
        found = _find(config, target)
        found.capabilities()
    except CtxkitError as exc:
        raise pytest.UsageError(str(exc)) from exc
    _examined.append(found)
    config.add_cleanup(_examined.clear)
    if config.getoption("ctxkit_events"):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that fixtures and `with` end what they started


def _find(config: pytest.Config, target: str) -> Subject:
    from ctxkit.plugins import PluginRegistry  # noqa: PLC0415
    from ctxkit_conformance.options import parsed_options  # noqa: PLC0415
    from ctxkit_conformance.subject import find_subject  # noqa: PLC0415

    registry = PluginRegistry.discover()
    for plugin in config.getoption("ctxkit_plugin"):
        registry.load_path(plugin)
    options = parsed_options(config.getoption("ctxkit_config"))
    return find_subject(registry, target, options, config.getoption("ctxkit_variant"))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the checks, leave out what was not asked for, and say what is planned."""
    from ctxkit_conformance.marks import marks_of, tier_number  # noqa: PLC0415

    checks = []
    for item in items:
        if isinstance(item, pytest.Function) and item.cls is not None:
            marks = marks_of(item.cls, item.function, face=_parameter(item, "face"))
            if marks is not None:
                item.stash[_MARKS] = marks
                checks.append(item)
    if not checks:
        return
    _apply_known_failures(config, checks)
    tiers = {tier.upper() for tier in config.getoption("ctxkit_tier")}
    done = config.getoption("ctxkit_done")
    finished = set(Path(done).read_text(encoding="utf-8").splitlines()) if done else set()
    left_out = [item for item in checks if (tiers and item.stash[_MARKS].tier not in tiers) or _id(item) in finished]
    if left_out:
        dropped = set(left_out)
        items[:] = [item for item in items if item not in dropped]
        config.hook.pytest_deselected(items=left_out)
    if config.getoption("ctxkit_backend") is not None:
        items.sort(key=lambda item: tier_number(item.stash[_MARKS].tier) if _MARKS in item.stash else -1)
    if config.getoption("ctxkit_reversed"):
        items.reverse()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell the reader of the events what will run."""
    for item in session.items:
        if _MARKS in item.stash:
            marks = item.stash[_MARKS]
            clauses = [vars(clause) for clause in marks.clauses]
            _tell(
                session.config,
                event="planned",
                id=_id(item),
                name=marks.name,
                tier=marks.tier,
                case=_case(item),
                meaning=marks.meaning,
                clauses=clauses,
            )


def _apply_known_failures(config: pytest.Config, checks: Iterable[pytest.Function]) -> None:
    """Match each check with the entries of the file that counts for it; a name that fits none is an error."""
    files: dict[tuple[str, str], KnownFailures] = {}
    for item in checks:
        key = _known_file(config, item)
        if key is None:
            continue
        if key not in files:
            files[key] = _read_known(*key)
        marks = item.stash[_MARKS]
        names = {marks.name, f"{marks.name}[{_case(item)}]"}
        if entry := files[key].match(names):
            item.stash[_KNOWN] = entry
    for (path, _), known in files.items():
        if known.unmatched and not any("::" in argument for argument in config.args):
            raise pytest.UsageError(f"{path} names what is no check: {', '.join(known.unmatched)}")


def _known_file(config: pytest.Config, item: pytest.Function) -> tuple[str, str] | None:
    own = getattr(item.cls, "known_failures", None)
    path = config.getoption("ctxkit_known_failures") or own
    subject: Subject | None = getattr(item.cls, "subject", None)
    if path is None:
        return None
    if subject is not None:
        return str(path), f"{subject.kind}:{subject.component.name}"
    return str(path), item.cls.__name__ if item.cls is not None else ""


def _read_known(path: str, component: str) -> KnownFailures:
    from ctxkit.errors import ConfigError  # noqa: PLC0415
    from ctxkit_conformance.known import read_known_failures  # noqa: PLC0415

    try:
        return read_known_failures(Path(path), component)
    except ConfigError as exc:
        raise pytest.UsageError(str(exc)) from exc


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Tell when a check begins, so that a crash can be laid at its door."""
    if _MARKS in item.stash:
        _tell(item.config, event="started", id=_id(item))
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Decide what becomes of a check: no skip but a reasoned one, known and advisory failures set apart."""
    report = yield
    if _MARKS not in item.stash:
        return report
    facts = _facts(item, call, report)
    if facts is not None:
        report.user_properties.append(("ctxkit_check", facts))
    if report.when == "teardown":
        _tell(item.config, event="ended", id=_id(item), **_summary(item))
    return report


_FACTS: Final = pytest.StashKey[dict[str, Any]]()


def _facts(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> dict[str, Any] | None:
    """Return what this phase says about the check, and set the report's own outcome to match."""
    from ctxkit_conformance.marks import NotApplicable  # noqa: PLC0415

    facts = item.stash.setdefault(_FACTS, {"outcome": "passed", "seconds": 0.0})
    facts["seconds"] += call.duration
    if report.skipped:
        if call.excinfo is not None and call.excinfo.errisinstance(NotApplicable):
            facts |= {"outcome": "not_applicable", "reason": str(call.excinfo.value)}
            return facts
        report.outcome = "failed"
        report.longrepr = "A check cannot be skipped: what a component does not declare, it has to refuse."
        facts |= {"outcome": "failed", "message": report.longrepr}
    elif report.failed and call.excinfo is not None:
        facts |= {"outcome": "failed", **_failure(item, call.excinfo)}
        _excuse(item, report, facts)
    elif report.when == "call" and _KNOWN in item.stash:
        entry = item.stash[_KNOWN]
        report.outcome = "failed"
        report.longrepr = f"This passes, though it is known to fail ({entry.reason}, {entry.link}): take the entry out."
        facts |= {"outcome": "unexpected_pass", "message": report.longrepr, "reason": entry.reason, "link": entry.link}
    return facts if report.when == "call" or facts["outcome"] != "passed" else None


def _excuse(item: pytest.Item, report: pytest.TestReport, facts: dict[str, Any]) -> None:
    """Set a failure apart that is known, or of a check that is still advisory."""
    if _KNOWN in item.stash:
        entry = item.stash[_KNOWN]
        facts |= {"outcome": "known", "reason": entry.reason, "link": entry.link}
        report.outcome, report.wasxfail = "skipped", f"{entry.reason} ({entry.link})"
    elif item.stash[_MARKS].advisory:
        facts |= {"outcome": "advisory", "reason": "new in this version of the contract"}
        report.outcome, report.wasxfail = "skipped", facts["reason"]
    else:
        marks = item.stash[_MARKS]
        for clause in marks.clauses:
            report.sections.append((f"contract: {clause.name}", f"{clause.sentence}\nWhat to do: {clause.advice}"))
        if facts["reproduction"]:
            report.sections.append(("what was called", facts["reproduction"]))


def _failure(item: pytest.Item, caught: pytest.ExceptionInfo[BaseException]) -> dict[str, str]:
    """Return what was found, and how to find it again."""
    from ctxkit_conformance.component import JOURNAL  # noqa: PLC0415

    error = caught.value
    message = str(error)
    if not isinstance(error, AssertionError | pytest.fail.Exception):
        frames = traceback.extract_tb(error.__traceback__)
        last = frames[-1] if frames else None
        place = f"\nraised in {Path(last.filename).name}, line {last.lineno}: {last.line}" if last else ""
        message = f"{type(error).__name__}: {message}{place}"
    notes = "\n".join(getattr(error, "__notes__", []))
    journal = item.stash[JOURNAL].text if JOURNAL in item.stash else ""
    return {"message": message[:_LONGEST], "reproduction": "\n".join(part for part in (notes, journal) if part)}


def _summary(item: pytest.Item) -> dict[str, Any]:
    facts = item.stash.get(_FACTS, {"outcome": "passed"})
    series = [value for name, value in item.user_properties if name == "ctxkit_measurement"]
    declared = [value for name, value in item.user_properties if name == "ctxkit_capabilities"]
    return {**facts, "measurements": series, "capabilities": declared[-1] if declared else None}


def _tell(config: pytest.Config, **event: Any) -> None:
    path = config.getoption("ctxkit_events")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def _id(item: pytest.Item) -> str:
    marks = item.stash[_MARKS]
    owner = item.cls.__name__ if isinstance(item, pytest.Function) and item.cls else ""
    return f"{owner}.{marks.tier}.{item.name}"


def _case(item: pytest.Item) -> str:
    return item.name.partition("[")[2].removesuffix("]")


def _parameter(item: pytest.Function, name: str) -> str | None:
    spec = getattr(item, "callspec", None)
    return None if spec is None else spec.params.get(name)
