"""The report as a JSON file, for programs and for the other forms of the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ctxkit.errors import ConfigError
from ctxkit_conformance.report.files import write_whole
from ctxkit_conformance.results import SCHEMA, Report


def as_json(report: Report) -> str:
    """Return the report as JSON text, ended by a line end.

    Beside the fields of Report it says what follows from them, so that a reader need not work it out: `ok` of the
    report and of each component, its `title`, and the `outcome` and `seconds` of each check. It is ASCII, so that it
    can go through any pipe.
    """
    data = report.model_dump()
    whole = {"schema": data.pop("schema_"), "ok": report.ok, **data}
    for subject, told in zip(report.subjects, whole["subjects"], strict=True):
        told |= {"title": subject.title, "ok": subject.ok}
        for check, entry in zip(subject.checks, told["checks"], strict=True):
            entry |= {"outcome": check.outcome, "seconds": check.seconds}
    return json.dumps(_plain(whole), allow_nan=False, indent=1) + "\n"


def write_json(report: Report, path: Path) -> None:
    """Write the report; the file is there whole or not at all. Raises ConfigError when it cannot be written."""
    write_whole(path, as_json(report))


def read_json(path: Path) -> Report:
    """Read a report; raises ConfigError for a file that is missing, broken, or of another schema."""
    again = "make the report again with `ctxkit conformance run ... --json FILE`."
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError as exc:
        raise ConfigError(f"there is no report at {path}.", fix=again) from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror or exc}.", fix="name another file.") from exc
    except (ValueError, RecursionError) as exc:
        raise ConfigError(f"{path} is no JSON: {exc}.", fix=again) from exc
    schema = data.get("schema") if isinstance(data, dict) else None
    if schema != SCHEMA:
        said = f"of the schema {schema!r}, not {SCHEMA!r}" if schema is not None else "no report of a conformance run"
        raise ConfigError(f"{path} is {said}.", fix=f"read it with the version that wrote it, or {again}")
    try:
        return Report.model_validate({**data, "schema_": schema})
    except ValidationError as exc:
        first = exc.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path} is a broken report: {place}: {first['msg']}.", fix=again) from exc


def _plain(value: Any) -> Any:
    """Return a value as JSON can hold it: figures that are no number become null, what it does not know text."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (set, frozenset)):
        return [_plain(each) for each in sorted(value, key=str)]
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return str(value)
