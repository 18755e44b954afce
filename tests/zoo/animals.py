"""The zoo of broken plugins as distributions: source, what is wrong with it, and which check finds it."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from wheel_support import make_wheel

BASE: Final = """
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, TokenizerCapabilities


def tokenizer(name, **changes):
    values = dict(name=name, factory=f"{__name__}.part:Characters", config=f"{__name__}.part:Config",
                  summary="characters", capabilities=TokenizerCapabilities(exact=True))
    return BackendSpec(**{**values, **changes})
"""
PART: Final = """
from ctxkit.interfaces import BackendConfig, Tokenizer


class Config(BackendConfig):
    width: int = 1


class Characters(Tokenizer):
    name, exact, concatenation_bound = "characters", True, 0

    def __init__(self, config):
        self.config = config

    def count(self, text):
        return len(text) * self.config.width

    def truncate(self, text, max_tokens, side="right"):
        return text[:max_tokens] if side == "right" else text[-max_tokens:]
"""
HOOK: Final = "\n\n@hookimpl\ndef ctxkit_tokenizers():\n    "


class Animal(NamedTuple):
    """A plugin that fails: its source, the type of its own exception, its words, and the check that finds it."""

    source: str
    cause: str
    says: str
    check: str
    status: str = "failed"


BROKEN: Final = {
    "import-error": Animal("raise ImportError('no luck')", "ImportError", "no luck", "import"),
    "syntax-error": Animal("def broken(:\n", "SyntaxError", "__init__.py, line", "import"),
    "missing-dependency": Animal(
        "import acme_is_not_there", "ModuleNotFoundError", "install the module 'acme_is_not_there'", "import"
    ),
    "sys-exit": Animal("import sys\nsys.exit(3)", "SystemExit", "SystemExit: 3", "import"),
    "misspelled-hook": Animal(
        "@hookimpl\ndef ctxkit_tokenizer(): return []", "PluginValidationError", "did you mean", "hooks"
    ),
    "unknown-argument": Animal(
        "@hookimpl\ndef ctxkit_tokenizers(registry): return []", "PluginValidationError", "registry", "hooks"
    ),
    "hook-raises": Animal(f"{HOOK}raise RuntimeError('in hook')", "RuntimeError", "in hook", "specifications"),
    "half-way": Animal(
        f"{HOOK}yield tokenizer('early')\n    raise OSError('half-way')", "OSError", "half-way", "specifications"
    ),
    "not-a-spec": Animal(
        f"{HOOK}return [object()]", "PluginValidationError", "must return BackendSpecs", "specifications"
    ),
    "future-spec": Animal(
        f"{HOOK}return [tokenizer('future-spec', spec_version=2, later_field=1)]",
        "IncompatibleSpecError",
        "spec_version 2",
        "specifications",
        "incompatible",
    ),
}
# These load; what is wrong with them shows elsewhere.
ODD: Final = {
    "good": f"{HOOK}return [tokenizer('good')]",
    "twin-one": f"{HOOK}return [tokenizer('first')]",
    "twin-two": f"{HOOK}return [tokenizer('second')]",
    "same-one": f"{HOOK}return [tokenizer('same')]",
    "same-two": f"{HOOK}return [tokenizer('same')]",
    "heavy": f"import numpy{HOOK}return [tokenizer('heavy')]",
    "loud": f"print('hello from loud'){HOOK}return [tokenizer('loud')]",
}
ENTRY_POINTS: Final = {"twin-one": "twin", "twin-two": "twin"}


def build(folder: Path, name: str) -> Path:
    """Write the wheel `zoo-NAME` of one animal."""
    source = BROKEN[name].source if name in BROKEN else ODD[name]
    package = f"zoo_{name.replace('-', '_')}"
    files = {f"{package}/__init__.py": f"{BASE}\n\n{source}\n", f"{package}/part.py": PART, f"{package}/py.typed": ""}
    return make_wheel(folder, f"zoo-{name}", files, entry_points=[f"{ENTRY_POINTS.get(name, name)} = {package}"])
