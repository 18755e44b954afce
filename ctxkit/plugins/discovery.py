"""Finds plugins through entry points and loads each by itself, so that a broken one costs nothing but itself.

A failure is one WARNING of the logger `ctxkit.plugins`, not a Python warning: warnings are shown once per place, are
filtered by many applications and turned into errors by test suites, while an unconfigured logger still reaches
standard error and the command line can print it in its own form.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ctxkit.hookspecs import ENTRY_POINT_GROUP
from ctxkit.interfaces import BackendSpec, Kind
from ctxkit.plugins.component import Component, HookCall, PluginRecord, Status, normalized
from ctxkit.plugins.failures import load_error, load_fix, not_installed, one_line
from ctxkit.plugins.heavy import heavy_modules
from ctxkit.plugins.hooks import COMMANDS, Hook, IncompatibleSpecError, announced, read_hooks
from ctxkit.plugins.installed import entry_points, installed, load_entry_point
from ctxkit.plugins.policy import LoadPolicy
from ctxkit.plugins.tracing import Tracer

logger = logging.getLogger("ctxkit.plugins")

_UNKNOWN = "unknown"
_thread = threading.local()


@dataclass(frozen=True)
class Loaded:
    """The outcome for one plugin: its record, its usable components, its hooks that add commands, and the steps."""

    record: PluginRecord
    components: tuple[Component, ...] = ()
    commands: tuple[Hook, ...] = ()
    calls: tuple[HookCall, ...] = ()


def discover(policy: LoadPolicy, path: Sequence[str] | None = None) -> list[Loaded]:
    """Load every permitted plugin among the distributions on `path` (default: sys.path), sorted by name.

    A plugin that fails is recorded and logged, several in one line; under a strict policy it raises PluginLoadError. So
    is a name that is permitted and that no plugin has, for which a strict policy raises PluginNotFoundError.
    """
    outcomes = []
    failed = []
    found = sorted(_candidates(path), key=lambda candidate: _order(candidate[0]))
    _report_unmatched(policy, [record for record, _ in found])
    for record, importer in found:
        refusal = policy.refusal(record)
        if refusal is not None:
            outcomes.append(Loaded(replace(record, status="blocked", error=refusal)))
            continue
        outcome = load(record, importer)
        if outcome.record.status != "loaded":
            failed.append(outcome.record)
            if policy.strict:
                break
        outcomes.append(outcome)
    if len(failed) == 1:
        report(failed[0], strict=policy.strict)
    elif failed:
        names = ", ".join(record.distribution for record in failed)
        logger.warning("%d plugins do not load: %s. Fix: `ctxkit plugins list` tells why.", len(failed), names)
    return outcomes


def load(record: PluginRecord, importer: Callable[[], object]) -> Loaded:
    """Import one plugin, check it and collect what it announces; any failure ends up in the record."""
    started, heavy_before = time.perf_counter(), heavy_modules()
    tracer = Tracer(record.distribution)
    specs: list[tuple[Kind, BackendSpec]] = []
    hooks: dict[str, list[Hook]] = {}
    cause: BaseException | None = None
    nested, _thread.loading = is_loading(), True
    try:
        with tracer.step("import"):
            plugin = importer()
        hooks = read_hooks(plugin)
        # One by one: what was announced before a failure stays known, and asking for it tells of the failure.
        for found in announced(plugin, hooks, tracer):
            specs.append(found)  # noqa: PERF402 - see above
    except KeyboardInterrupt:
        # A plugin that never finishes: whoever lost patience has to know which one it was.
        logger.warning("interrupted while loading %s. Fix: %s", record.title, load_fix(record))
        raise
    except BaseException as exc:  # noqa: BLE001 - sys.exit at import and the panics of native modules are no Exception
        cause = exc
    finally:
        _thread.loading = nested
    status: Status = "loaded"
    if cause is not None:
        status = "incompatible" if isinstance(cause, IncompatibleSpecError) else "failed"
    record = replace(
        record,
        status=status,
        error=None if cause is None else one_line(cause),
        cause=cause,
        load_ms=(time.perf_counter() - started) * 1000,
        components=tuple(f"{kind}:{spec.name}" for kind, spec in specs),
        heavy=tuple(sorted(heavy_modules() - heavy_before)),
    )
    calls = tuple(tracer.calls)
    if cause is not None:
        return Loaded(record, calls=calls)
    components = tuple(Component(kind, spec, record) for kind, spec in specs)
    return Loaded(record, components, tuple(hooks.get(COMMANDS, ())), calls)


def is_loading() -> bool:
    """Whether this thread is in the middle of loading a plugin, so that no registry is complete yet."""
    return getattr(_thread, "loading", False)


def report(record: PluginRecord, *, strict: bool) -> None:
    """Log the plugin's failure once, or raise it as PluginLoadError when strict."""
    error = load_error(record)
    if strict:
        raise error
    logger.warning("%s", error)


def _report_unmatched(policy: LoadPolicy, records: Sequence[PluginRecord]) -> None:
    names = policy.unmatched(records)
    if not names:
        return
    error = not_installed(names, records)
    if policy.strict:
        raise error
    logger.warning("%s", error)


def _candidates(path: Sequence[str] | None) -> Iterator[tuple[PluginRecord, Callable[[], object]]]:
    """Yield each entry point of the group once, with the function that imports it."""
    seen = set()
    for found in installed(ENTRY_POINT_GROUP, path):
        name, version = found.name or _UNKNOWN, found.version or _UNKNOWN
        # An editable install beside an old dist-info is one distribution; the first on the path is the one imported.
        if found.name and normalized(name) in seen:
            continue
        seen.add(normalized(name))
        origin = PluginRecord(distribution=name, version=version, entry_point=name, value="entry_points.txt")
        try:
            points = entry_points(found.text, ENTRY_POINT_GROUP)
        except ValueError as exc:  # a malformed file costs its own distribution only
            yield origin, partial(_fail, exc)
            continue
        for point, value in points:
            yield replace(origin, entry_point=point, value=value), partial(load_entry_point, value)


def _fail(cause: Exception) -> object:
    raise cause


def _order(record: PluginRecord) -> tuple[str, str]:
    return normalized(record.distribution), record.entry_point
