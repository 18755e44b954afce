"""Immutable values that check themselves, without pydantic: listing plugins must not cost its import."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from typing_extensions import Self, dataclass_transform
else:

    def dataclass_transform(**_options: bool) -> Callable[[type], type]:
        """Do nothing: the decorator speaks to type checkers."""
        return lambda decorated: decorated


Rule = Callable[[Any], Any]


class InvalidValueError(ValueError):
    """One or more fields of an announcement are wrong; the message names each."""


@dataclass_transform(kw_only_default=True, frozen_default=True)
class CheckedValue:
    """Base of the immutable values that plugins announce themselves with, made from keywords.

    A subclass annotates its fields, gives defaults as class attributes, and has in `rules` one function for each
    field: it returns the value as it is kept, or raises ValueError. The methods have the names that pydantic's models
    have, so that a value of either sort is read the same way.
    """

    rules: ClassVar[Mapping[str, Rule]] = {}

    def __init__(self, **values: Any) -> None:
        owner, rules = type(self), self.rules
        problems = [f"{name}: there is no such field" for name in values if name not in rules]
        for name, rule in rules.items():
            if name not in values and not hasattr(owner, name):
                problems.append(f"{name}: is missing")
                continue
            problem = self._keep(name, rule, values[name] if name in values else getattr(owner, name))
            problems += [problem] if problem else []
        if problems:
            raise InvalidValueError("; ".join(f"{owner.__name__}.{problem}" for problem in problems))

    def _keep(self, name: str, rule: Rule, value: Any) -> str | None:
        """Store what the rule makes of the value, or return what is wrong with it."""
        try:
            self.__dict__[name] = rule(value)
        except ValueError as exc:
            return f"{name}: {exc}"
        return None

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; make a new one instead of setting {name}.")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is immutable; {name} stays.")

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({fields})"

    @classmethod
    def model_validate(cls, data: Mapping[str, Any] | Self) -> Self:
        """Return the value made from a mapping; raises InvalidValueError naming the fields that are wrong."""
        return data if isinstance(data, CheckedValue) else cls(**data)

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        """Return the value made from a JSON object."""
        return cls.model_validate(json.loads(text))

    def model_dump(self, *, mode: str = "python") -> dict[str, Any]:
        """Return the fields as a dict; `mode="json"` turns sets and tuples into lists, sets sorted."""
        return {name: _as_json(value) if mode == "json" else value for name, value in vars(self).items()}

    def model_dump_json(self) -> str:
        """Return the fields as a JSON object."""
        return json.dumps(self.model_dump(mode="json"))

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Return the value with some fields replaced, checked like a new one."""
        return type(self)(**{**vars(self), **(update or {})})


def _as_json(value: Any) -> Any:
    if isinstance(value, CheckedValue):
        return value.model_dump(mode="json")
    if isinstance(value, frozenset):
        return sorted(value, key=str)
    return list(value) if isinstance(value, tuple) else value


def flag(value: Any) -> bool:
    """Accept True and False."""
    if not isinstance(value, bool):
        raise ValueError(f"must be True or False, not {value!r}")  # noqa: TRY004 - rules raise one type
    return value


def text(pattern: str = "", *, empty: bool = False) -> Rule:
    """Accept a str that matches `pattern` from its beginning to its end."""

    def rule(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError(f"must be a str, not {value!r}")  # noqa: TRY004
        if not value and not empty:
            raise ValueError("must not be empty")
        if pattern and not re.fullmatch(pattern, value):
            raise ValueError(f"must match {pattern}, which {value!r} does not")
        return value

    return rule


def texts(value: Any) -> tuple[str, ...]:
    """Accept a list or tuple of str."""
    if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"must be a tuple of str, not {value!r}")
    return tuple(value)


def number(kind: type[int | float] = int, *, least: float | None = None) -> Rule:
    """Accept an int, or with `float` an int or float, of at least `least`."""

    def rule(value: Any) -> float:
        accepted = int if kind is int else (int, float)
        if isinstance(value, bool) or not isinstance(value, accepted):
            raise ValueError(f"must be of type {kind.__name__}, not {value!r}")  # noqa: TRY004
        if least is not None and not value >= least:
            raise ValueError(f"must be at least {least}, not {value!r}")
        return kind(value)

    return rule


def optional(rule: Rule) -> Rule:
    """Accept None and what `rule` accepts."""
    return lambda value: None if value is None else rule(value)


def one_of(*choices: str) -> Rule:
    """Accept one of these words."""

    def rule(value: Any) -> Any:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}, not {value!r}")
        return value

    return rule


def some_of(choices: Collection[str]) -> Rule:
    """Accept a set or list of these words."""

    def rule(value: Any) -> frozenset[str]:
        if not isinstance(value, (frozenset, set, list, tuple)):
            raise ValueError(f"must be a frozenset of {', '.join(sorted(choices))}, not {value!r}")  # noqa: TRY004
        found = frozenset(value)
        if not found <= set(choices):
            wrong = sorted(str(item) for item in found - set(choices))
            raise ValueError(f"{', '.join(wrong)}: there is only {', '.join(sorted(choices))}")
        return found

    return rule


def instance_of(kind: type) -> Rule:
    """Accept an object of that class."""

    def rule(value: Any) -> Any:
        if not isinstance(value, kind):
            raise ValueError(f"must be {kind.__name__}, not {value!r}")  # noqa: TRY004
        return value

    return rule
