"""All mutants and harmless variants, and the contract as a test class for each of them."""

from __future__ import annotations

import importlib
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit_conformance.component import ComponentChecks

if TYPE_CHECKING:
    from pathlib import Path

    from ctxkit.interfaces import BackendConfig, Kind

_PATIENCE: Final = 15.0  # seconds that a broken store has for an answer where a sound one has a minute
_PACKAGE: Final = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class Specimen:
    """A component that the suite is tried on.

    `check` is the name of the check that has to catch it, None for one that has to pass. A store that is not
    `on_disk` keeps its collections in memory. `everyday` is one whose check takes no time to speak of.
    """

    kind: Kind
    component: type
    check: str | None = None
    on_disk: bool = False
    everyday: bool = True

    @property
    def name(self) -> str:
        """The class with the module in which it stands, for example records.MergesMetadata."""
        return f"{self.component.__module__.rpartition('.')[2]}.{self.component.__name__}"

    @property
    def key(self) -> str:
        """A name that no other specimen has, and that a class can have."""
        module, _, name = self.name.partition(".")
        return f"{module.title().replace('_', '')}{name}{'OnDisk' if self.on_disk else ''}"

    @property
    def defect(self) -> str:
        """What is wrong with it, or merely different, in a sentence."""
        return " ".join((inspect.getdoc(self.component) or "").split("\n\n")[0].split())

    @property
    def leaks(self) -> tuple[type[BaseException], ...]:
        """The errors outside of ctxkit's own that are part of the defect: its own `leaks`."""
        own: tuple[type[BaseException], ...] = getattr(self.component, "leaks", ())
        return own if self.kind == "vector_store" else _LIBRARY_ERRORS

    def contract(self) -> type[ComponentChecks]:
        """Return the contract of its kind as a test class."""
        # Imported here, not to bring in the checks for a list of mutants.
        name = f"Test{self.key}"
        if self.kind == "embedder":
            from ctxkit_conformance.mutants.embedders import embedder_contract  # noqa: PLC0415

            return embedder_contract(self.component, name)
        if self.kind == "tokenizer":
            from ctxkit_conformance.mutants.tokenizers import tokenizer_contract  # noqa: PLC0415

            return tokenizer_contract(self.component, name)
        if self.kind == "llm":
            from ctxkit_conformance.llms.contract import LLMContract  # noqa: PLC0415

            members = {"llm_class": self.component, "capabilities": getattr(self.component, _ANNOUNCED, None)}
            return type(name, (LLMContract,), {**members, "__module__": __name__})
        return self._store_contract(name)

    def _store_contract(self, name: str) -> type[ComponentChecks]:
        from ctxkit_conformance.stores.contract import VectorStoreContract  # noqa: PLC0415

        companions = {mine: getattr(self.component, its, None) for mine, its in COMPANIONS.items()}
        members: dict[str, Any] = {mine: found for mine, found in companions.items() if found is not None}
        members |= {"store_class": self.component, "make_config": _store_config(self), "__module__": __name__}
        if self.check is not None:
            members["patience"] = _PATIENCE
        return type(name, (VectorStoreContract,), members)


@dataclass(frozen=True)
class _Group:
    """A module with mutants, the name of their dict, and how they are opened."""

    module: str
    table: str
    kind: Kind = "vector_store"
    on_disk: bool = False
    everyday: bool = True


# What a store that is not alone brings with it: attributes of the contract, and of the store.
_ANNOUNCED: Final = "capabilities_of_spec"
COMPANIONS: Final = {"async_class": "async_class", "capabilities": _ANNOUNCED}
# What the mutants of the other kinds let through, as the defect of some of them.
_LIBRARY_ERRORS: Final = (ValueError, AttributeError, TypeError, KeyError, IndexError, OSError, RuntimeError)
_GROUPS: Final = (
    _Group("values", "VALUES"),
    _Group("refusals", "REFUSALS"),
    _Group("records", "RECORDS"),
    _Group("reads", "READS"),
    _Group("deletions", "DELETIONS"),
    _Group("scoring", "SCORING"),
    _Group("answers", "ANSWERS"),
    _Group("filtering", "FILTERING"),
    _Group("filter_uses", "FILTER_USES"),
    _Group("words", "WORDS"),
    _Group("scanning", "SCANNING"),
    _Group("ordering", "ORDERING"),
    _Group("lifecycle", "LIFECYCLE"),
    _Group("collections", "COLLECTIONS", on_disk=True),
    _Group("persistence", "PERSISTENCE", on_disk=True),
    _Group("durability", "DURABILITY", on_disk=True, everyday=False),
    _Group("search", "SEARCH", on_disk=True, everyday=False),
    _Group("faces", "FACES", everyday=False),
    _Group("embedders", "EMBEDDERS", kind="embedder", everyday=False),
    _Group("tokenizers", "TOKENIZERS", kind="tokenizer", everyday=False),
    _Group("llms", "LLMS", kind="llm", everyday=False),
)
_HARMLESS: Final = (
    _Group("harmless", "HARMLESS"),
    _Group("harmless", "HARMLESS_ON_DISK", on_disk=True),
    _Group("embedder_bases", "HARMLESS_EMBEDDERS", kind="embedder", everyday=False),
    _Group("tokenizer_bases", "HARMLESS_TOKENIZERS", kind="tokenizer", everyday=False),
    _Group("llm_bases", "HARMLESS_LLMS", kind="llm", everyday=False),
)


def mutants() -> list[Specimen]:
    """Return every mutant, in the order of the modules."""
    return [
        Specimen(group.kind, component, check, group.on_disk, group.everyday)
        for group in _GROUPS
        for component, check in _table(group).items()
    ]


def harmless() -> list[Specimen]:
    """Return every variant that is merely different; of each kind but vector stores, the first is the plain one."""
    return [
        Specimen(group.kind, component, None, group.on_disk, group.everyday)
        for group in _HARMLESS
        for component in _table(group)
    ]


def unbroken() -> list[Specimen]:
    """Return what the mutants derive from: the exact store, in memory and on disk, and the plain one of each kind."""
    plain: dict[Kind, Specimen] = {}
    for each in harmless():
        if each.kind != "vector_store":
            plain.setdefault(each.kind, each)
    stores = [Specimen("vector_store", ExactStore), Specimen("vector_store", ExactStore, None, on_disk=True)]
    return [*stores, *plain.values()]


def _table(group: _Group) -> Any:
    return getattr(importlib.import_module(f"{_PACKAGE}.{group.module}"), group.table)


def _store_config(specimen: Specimen) -> Any:
    config_class = getattr(specimen.component, "config_class", ExactConfig)

    def make_config(_self: object, folder: Path) -> BackendConfig:
        made: BackendConfig = config_class(path=folder if specimen.on_disk else None)
        return made

    return make_config
