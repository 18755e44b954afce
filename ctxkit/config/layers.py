"""Where each value of a configuration comes from: arguments, then the environment, then a file, then the defaults."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import ValidationError

from ctxkit.config.files import ConfigFile, Key, find_file, read_file
from ctxkit.config.models import Config, Section
from ctxkit.config.problems import ALL_AT_ONCE, NO_SUCH_OPTION, Problem, as_problems, meant_by
from ctxkit.config.secrets import holds_key, is_secret
from ctxkit.config.variables import FILE_VARIABLE, from_assignments, from_environment, misspelt, variable_of
from ctxkit.errors import ConfigError

_log = logging.getLogger(__name__)
STORE: Final = "store"  # the one option of a file that is no part of a Config: the folder of the store
SECTIONS: Final[Mapping[str, type[Section]]] = {
    name: each.annotation
    for name, each in Config.model_fields.items()
    if isinstance(each.annotation, type) and issubclass(each.annotation, Section)
}
_TOP_LEVEL: Final = tuple(name for name in Config.model_fields if name not in SECTIONS)
_NOTHING: Final = object()
_MOST_TOLD: Final = 2  # findings in one error
_PLAIN: Final = re.compile(r"true|false|-?(0|[1-9]\d*)(\.\d+)?")


@dataclass(frozen=True)
class Origin:
    """Where a value comes from: which layer, and the file with its line, the variable or the option by name."""

    layer: Literal["default", "file", "environment", "argument"]
    name: str = ""
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.name}, line {self.line}" if self.line else self.name or self.layer


@dataclass(frozen=True)
class Repair:
    """What mends an option of a file: another name, another value, to take it out, or to make it a comment."""

    key: Key
    how: Literal["rename", "set", "remove", "disable"]
    value: Any = None


@dataclass(frozen=True)
class Finding:
    """Something wrong with a configuration: where, what, what to do, and the repair where one can be made in a file.

    A warning is of values that are fine but do not fit together.
    """

    origin: Origin
    problem: str
    fix: str
    repair: Repair | None = None
    is_warning: bool = False

    def __str__(self) -> str:
        return self.problem if self.origin.layer == "default" else f"{self.origin}: {self.problem}"


@dataclass(frozen=True)
class Layers:
    """Every value that was given, the highest layer's where several give one, before any is checked."""

    file: ConfigFile | None
    values: Mapping[Key, Any]
    origins: Mapping[Key, Origin] = field(repr=False)

    def config(self) -> Config:
        """Return the configuration; raises ConfigError that names each wrong value with its place."""
        config, findings = self.checked
        if not findings:
            return config
        fix = findings[0].fix if len(findings) == 1 else "`ctxkit config check` says what to do about each."
        more = f"; and {len(findings) - _MOST_TOLD} more" if len(findings) > _MOST_TOLD else ""
        raise ConfigError(f"{'; '.join(str(each) for each in findings[:_MOST_TOLD])}{more}.", fix=fix)

    @cached_property
    def checked(self) -> tuple[Config, tuple[Finding, ...]]:
        """The configuration of all values that are right, and what is wrong with the others."""
        findings = [self._secret_found(key) for key in self.values if self._is_exposed(key)]
        if not isinstance(self.values.get((STORE,), STORE), str):
            findings.append(self._no_folder())
        values = {key: value for key, value in self.values.items() if not self._is_exposed(key) and key != (STORE,)}
        while True:
            try:
                config = Config.model_validate(_nested(values), context=ALL_AT_ONCE)
                return config, tuple(sorted(findings, key=lambda each: (each.origin.line or 0, each.origin.name)))
            except ValidationError as exc:
                problems = as_problems(exc)
            findings += [self._found(problem) for problem in problems]
            kept = {key: value for key, value in values.items() if not any(_meets(key, each.key) for each in problems)}
            if len(kept) == len(values):  # what nobody wrote cannot be left out
                raise ConfigError("; ".join(str(each) for each in findings), fix="correct the named value.")
            values = kept

    @property
    def store(self) -> Path | None:
        """The folder of the store that the file names, relative to the file; raises ConfigError for what is no path."""
        if self.file is None or (STORE,) not in self.values:
            return None
        value = self.values[STORE,]
        if not isinstance(value, str) or not value:
            wrong = self._no_folder()
            raise ConfigError(f"{wrong}.", fix=wrong.fix)
        return self.file.path.parent / Path(value).expanduser()

    def _no_folder(self) -> Finding:
        fix = 'write it as text, as in store = "memory".'
        return Finding(self.origin((STORE,)), f"{STORE} must be the path of a folder", fix, Repair((STORE,), "disable"))

    def origin(self, key: Key) -> Origin:
        """Return where an option's value, a part of it, or the first option of a section comes from."""
        origin = next((origin for each, origin in self.origins.items() if _meets(each, key)), Origin("default"))
        if self.file is None or origin.layer != "file":
            return origin
        return Origin("file", origin.name, self.file.line(key))

    def _is_exposed(self, key: Key) -> bool:
        """Whether a value is a key that stands where others can read it."""
        if self.origins[key].layer == "environment":
            return False
        return holds_key(key[-1], self.values[key])

    def _secret_found(self, key: Key) -> Finding:
        name, section = ".".join(key), key[0] if key[0] in SECTIONS else "llm"
        variable = variable_of(key if len(key) > 1 and is_secret(key[-1]) else (section, "api_key"))
        return Finding(
            self.origin(key),
            f"{name} holds a key, which others can read there; it was not used",
            f"take it out and set {variable} (or the provider's own variable, as OPENAI_API_KEY), or name a file that"
            " is yours alone as key_file.",
            Repair(key, "remove"),
        )

    def _found(self, problem: Problem) -> Finding:
        key, origin = problem.key, self.origin(problem.key)
        if problem.unknown:
            return self._unknown(key, origin)
        default = default_of(key)
        if default is _NOTHING:
            return Finding(origin, str(problem), "correct it.", Repair(key, "disable"))
        shown = shown_value(default)
        fix = f"set it to {shown}, which is the default, or to what fits."
        return Finding(origin, str(problem), fix, Repair(key[:2], "set", default))

    def _unknown(self, key: Key, origin: Origin) -> Finding:
        section = SECTIONS.get(key[0]) if len(key) > 1 else None
        return unknown_option(key, origin, section.model_fields if section else (*Config.model_fields, STORE))


def unknown_option(key: Key, origin: Origin, names: Iterable[str]) -> Finding:
    """Return what to say of an option that there is not, with the one that was probably meant."""
    close = meant_by(key[-1], names)
    where = [] if close else [name for name, section in SECTIONS.items() if key[-1] in section.model_fields]
    if close:
        fix = f"did you mean {'.'.join((*key[:-1], close))}?"
    elif where:
        fix = f"write it below [{where[0]}]."
    else:
        fix = "take it out; `ctxkit config show` lists every option."
    return Finding(
        origin,
        f"{'.'.join(key)}{NO_SUCH_OPTION}",
        fix,
        Repair(key, "rename", close) if close else Repair(key, "disable"),
    )


def default_of(key: Key) -> Any:
    """Return an option's default, or what is no value of any where it has none."""
    fields = SECTIONS[key[0]].model_fields if len(key) > 1 and key[0] in SECTIONS else Config.model_fields
    found = fields.get(key[1] if len(key) > 1 else key[0])
    return _NOTHING if found is None or found.default_factory is not None else found.default


def shown_value(value: Any) -> str:
    """Return a value as it is written in a file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(shown_value(each) for each in value)}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return f'"{value}"' if isinstance(value, str) else str(value)


def read_layers(
    path: str | Path | None = None,
    *,
    assignments: Iterable[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Layers:
    """Read a file, the environment (`environ` in place of os.environ) and assignments such as "llm.model=gpt-4".

    Without `path` the file is that of CTXKIT_CONFIG, or the nearest one from the working directory upwards. Raises
    ConfigError for a file that cannot be read; a wrong value raises later, when the configuration is asked for.
    """
    environ = os.environ if environ is None else environ
    named = path or environ.get(FILE_VARIABLE) or find_file(Path.cwd())
    file = read_file(Path(named)) if named else None
    alone = [variable_of((name,)) for name in (*_TOP_LEVEL, STORE)]
    for variable, meant in misspelt(environ, [*alone, FILE_VARIABLE], SECTIONS):
        _tell(variable, meant)
    values: dict[Key, Any] = {}
    origins: dict[Key, Origin] = {}
    if file is not None:
        for key, value in _flat(file.values):
            values[key], origins[key] = value, Origin("file", file.title)
    for key, value, variable in from_environment(environ, _TOP_LEVEL):
        values[key], origins[key] = _typed(key, value), Origin("environment", variable)
    for key, value in from_assignments(assignments):
        if key == (STORE,):
            raise ConfigError("--set takes no store.", fix="name its folder with --store.")
        values[key], origins[key] = _typed(key, value), Origin("argument", "--set")
    return Layers(file, values, origins)


@cache
def _tell(variable: str, meant: str) -> None:
    """Warn of a variable that sets nothing, once in a process however often the layers are read."""
    _log.warning("the variable %s sets nothing; did you mean %s?", variable, meant)


def _meets(key: Key, other: Key) -> bool:
    """Whether two keys are the same, or one is a part of what the other names."""
    length = min(len(key), len(other))
    return key[:length] == other[:length]


def _typed(key: Key, value: Any) -> Any:
    """Return a number or truth value where one is written for an option of a component; ours are converted by type."""
    section = SECTIONS.get(key[0])
    if not isinstance(value, str) or section is None or key[-1] in section.model_fields or not _PLAIN.fullmatch(value):
        return value
    return json.loads(value)


def _flat(values: Mapping[str, Any]) -> Iterator[tuple[Key, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and name in SECTIONS:
            yield from (((name, option), each) for option, each in value.items())
        else:
            yield (name,), value


def _nested(values: Mapping[Key, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in sorted(values.items(), key=lambda item: len(item[0])):
        place = tree
        for name in key[:-1]:
            below = place.setdefault(name, {})
            if not isinstance(below, dict):
                break  # the section is no table, which is told
            place = below
        else:
            place[key[-1]] = value
    return tree
