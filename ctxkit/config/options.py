"""Every option with its default, its limits and what it means, and a file to begin with that says all this."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from ctxkit.config.files import Key
from ctxkit.config.layers import SECTIONS, shown_value
from ctxkit.config.models import Config
from ctxkit.config.secrets import is_secret

_LIMITS: Final = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
_WIDTH: Final = 100
_HEAD: Final = """\
# Configuration of ctxkit. Each line shows a default; take the # away to change it.
#
# Variables of the environment win over this file, and options of a command over both:
#     CTXKIT_MEMORY__STM_CAPACITY=4000 ctxkit stats
#     ctxkit stats --set memory.stm_capacity=4000
# `ctxkit config show` tells where each value comes from, `ctxkit config check` what is wrong with it.
#
# Keys do not belong here. They stand in OPENAI_API_KEY, ANTHROPIC_API_KEY or CTXKIT_LLM__API_KEY, or in a file that is
# yours alone and that key_file names.

# folder of the store, seen from this file
# store = ".ctxkit"
"""


@dataclass(frozen=True)
class Option:
    """One option: its key, its default as a file has it, its limits in words, and its description."""

    key: Key
    default: str
    limits: str
    description: str

    @property
    def name(self) -> str:
        """The key as it is written: section.name."""
        return ".".join(self.key)


def all_options() -> Iterator[Option]:
    """Yield every option that has a default, those without a section first; keys have none and are left out."""
    for name, about in Config.model_fields.items():
        if name not in SECTIONS:
            yield _option((name,), about)
    for section, model in SECTIONS.items():
        for name, about in model.model_fields.items():
            if not is_secret(name):
                yield _option((section, name), about)


def starting_file() -> str:
    """Return a configuration file that changes nothing and explains every option."""
    lines = [_HEAD]
    section: Key = ()
    for option in all_options():
        if option.key[:-1] != section:
            section = option.key[:-1]
            lines.append(f"\n[{section[0]}]")
        about = f"{option.description} ({option.limits})" if option.limits else option.description
        lines += textwrap.wrap(about, _WIDTH, initial_indent="# ", subsequent_indent="# ")
        lines.append(f"# {option.key[-1]} = {option.default}")
    return "\n".join(lines) + "\n"


def _option(key: Key, about: FieldInfo) -> Option:
    return Option(key, shown_value(about.default), _limits(about), about.description or "")


def _limits(about: FieldInfo) -> str:
    if get_origin(about.annotation) is Literal:
        return " or ".join(shown_value(each) for each in get_args(about.annotation))
    words = []
    for each in about.metadata:
        words += [
            f"{word} {_short(limit)}" for name, word in _LIMITS if (limit := getattr(each, name, None)) is not None
        ]
    return ", ".join(words)


def _short(limit: Any) -> str:
    return str(int(limit)) if float(limit).is_integer() else str(limit)
