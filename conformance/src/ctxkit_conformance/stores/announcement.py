"""Checks of what is said before a store is opened: the announcement, what imports cost, and the configuration."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final, get_args

import pytest
from pydantic import SecretBytes, SecretStr, ValidationError

from ctxkit.errors import ConfigError
from ctxkit.interfaces import BackendConfig, Harness, VectorStore
from ctxkit.plugins.construction import make_config
from ctxkit.plugins.heavy import HEAVY
from ctxkit.records import Metric, Record
from ctxkit_conformance.marks import covers, not_applicable
from ctxkit_conformance.stores import clauses, fresh
from ctxkit_conformance.stores.base import DIMENSION, StoreChecks, found_by_words

_SECRET: Final = "nobody-may-read-this"  # noqa: S105 - it opens nothing
_SECRET_NAMES: Final = re.compile(r"(api|access|auth|private)_?(key|token)|passw(or)?d|secret|credential|^token$")
_ANSWERS: Final = pytest.StashKey[dict[type, dict[str, Any]]]()


class AnnouncementChecks(StoreChecks):
    """What an application knows of a backend that it has not opened.

    A test file that names a class has no announcement; these checks then look at the class alone: that another process
    can import it by its name, which libraries that takes, and that it reaches for no network.
    """

    tier = "T0"

    @pytest.fixture
    def first_sight(self, config: BackendConfig, metric: Metric, request: pytest.FixtureRequest) -> dict[str, Any]:
        """What a fresh interpreter finds, asked once for all checks of a class."""
        answers = request.config.stash.setdefault(_ANSWERS, {})
        if type(self) not in answers:
            answers[type(self)] = self._asked(config, metric)
        return answers[type(self)]

    @covers(clauses.ANNOUNCEMENT)
    def test_found_by_name_in_a_fresh_process(self, first_sight: dict[str, Any], config: BackendConfig) -> None:
        """A failure means that an application which names the backend in its configuration does not find it."""
        assert first_sight["error"] is None, first_sight["error"]["trace"]
        expected = [f"{cls.__module__}:{cls.__qualname__}" for cls in (self.store_class, type(config))]
        assert first_sight["classes"] == expected, "the name leads to other classes than those under test"
        if self.subject is not None:
            assert first_sight["spec"] == self.subject.spec.model_dump(mode="json"), "the announcement changes"

    @covers(clauses.ANNOUNCEMENT)
    def test_importing_is_light_and_offline(self, first_sight: dict[str, Any]) -> None:
        """A failure means that every start of a program waits for this backend's libraries, or for the network."""
        assert first_sight["error"] is None, first_sight["error"]["trace"]
        assert first_sight["network"] == [], "importing, listing or opening reaches for the network"
        assert first_sight.get("heavy", []) == [], "the module of the entry point imports heavy libraries"
        assert first_sight.get("required", []) == [], "the module of the entry point imports what only a store needs"

    @covers(clauses.ANNOUNCEMENT)
    def test_missing_dependency_names_the_install_line(self, config: BackendConfig, metric: Metric) -> None:
        """A failure means that a user without the backend's library sees a traceback instead of what to install.

        A backend that announces no required module has to do without any large library.
        """
        required = set() if self.subject is None else {*self.subject.spec.requires} - fresh.NEEDED_BY_CTXKIT
        error = self._asked(config, metric, sorted(required or HEAVY - fresh.NEEDED_BY_CTXKIT))["error"]
        if error is None:
            assert not required, f"the store was made without {', '.join(sorted(required))}: take it out of `requires`"
            return
        if self.subject is None and error["is_import_error"]:
            not_applicable(f"only a class is given; a BackendSpec would say how to install it: {error['message']}")
        assert self.subject is None or required, f"`requires` does not name what it needs:\n{error['trace']}"
        assert error["type"] == "MissingDependencyError", error["trace"]
        assert "install" in error["fix"], "the fix has to be the line that installs what is missing"
        assert self.subject is None or self.subject.component.install_hint in error["fix"]

    @covers(clauses.ANNOUNCEMENT)
    def test_instances_share_nothing(
        self, harness: Harness, config: BackendConfig, metric: Metric, tmp_path: Path
    ) -> None:
        """A failure means that two parts of a program that use the backend read, change or close each other's data."""
        there = self.open(harness.fresh(tmp_path / "other"), metric, 4)
        with self.open(config, metric) as here, self.open(config, metric, 5, "second") as second:
            stores: dict[str, VectorStore] = {"here": here, "there": there, "second": second}
            for number, (place, store) in enumerate(stores.items()):
                first = [1.0] + [0.0] * (store.spec.dimension - 1)
                store.upsert([Record("a", f"{place} word", first, {"n": number}), Record(place, "", first)])
            for number, (place, store) in enumerate(stores.items()):
                _check(store, place, number)
            assert [store.spec.dimension for store in stores.values()] == [3, 4, 5]
            assert here.delete(["a"]) == 1
            _check(there, "there", 1)
            there.close()
            _check(second, "second", 2)
            here.upsert([Record("a", "here word", [1, 0, 0], {"n": 0})])
            _check(here, "here", 0)

    @covers(clauses.ANNOUNCEMENT, clauses.CAPABILITIES)
    def test_configuration_is_strict_and_discreet(self, config: BackendConfig) -> None:
        """A failure means that a mistyped option changes nothing unnoticed, or that a password ends up in a log."""
        model, values = type(config), {name: getattr(config, name) for name in type(config).model_fields}
        wrong = {**values, "no_such_option": 1}
        with pytest.raises(ValidationError) as caught:
            model.model_validate(wrong)
        assert [error["loc"] for error in caught.value.errors()] == [("no_such_option",)]
        if self.subject is not None:
            with pytest.raises(ConfigError, match="no_such_option"):
                make_config(self.subject.component, wrong)
        for name, value in _secrets(model).items():
            shown = config.model_copy(update={name: value})
            for text in (repr(shown), str(shown), shown.model_dump_json()):
                assert _SECRET not in text, f"the option {name} is shown in full: make it a pydantic SecretStr"

    @covers(clauses.ANNOUNCEMENT, clauses.CAPABILITIES)
    def test_announced_as_configured(self, config: BackendConfig) -> None:
        """A failure means that a store is chosen for what it announces, and then does something else, or refuses."""
        self.check_announced(type(config))

    def _asked(self, config: BackendConfig, metric: Metric, hidden: list[str] | None = None) -> dict[str, Any]:
        """Return what a fresh interpreter finds when some modules are hidden from it."""
        # Only what lives in a directory can be listed and opened without the network.
        # Settings that name a server have no collections without it.
        local = "path" in type(config).model_fields and getattr(config, "host", None) is None
        values = config.model_dump(mode="json") if local else None
        spec = {"name": "seen first", "dimension": DIMENSION, "metric": metric}
        question: dict[str, Any] = {"hidden": hidden or [], "values": values, "spec": spec}
        if self.subject is None:
            return fresh.ask("imported", {"classes": [_place(self.store_class), _place(type(config))], **question})
        plugin = self.subject.component.plugin
        if plugin.value.startswith("the object"):
            not_applicable(f"{plugin.title} was registered as an object, which no other process has")
        # Without other plugins, which may import on their own account.
        environment = {"CTXKIT_PLUGINS": plugin.distribution}
        load = "" if plugin.version else plugin.value
        name = self.subject.component.qualified_name
        return fresh.ask("announced", {"load": load, "name": name, **question}, environment)


def _check(store: VectorStore, place: str, number: int) -> None:
    """Check that a store has its own two records and nobody else's."""
    first = [1.0] + [0.0] * (store.spec.dimension - 1)
    assert store.get(["a"], include_vectors=True) == [Record("a", f"{place} word", first, {"n": number})]
    assert sorted(record.id for record in store.scan()) == sorted(["a", place])
    assert store.count() == 2
    assert [store.count({"n": each}) for each in range(3)] == [int(each == number) for each in range(3)]
    assert sorted(hit.text for hit in store.query(first, 9)[0]) == ["", f"{place} word"]
    assert found_by_words(store, "word") == (["a"] if store.capabilities.text_search else [])


def _place(cls: type) -> tuple[str, str | None, str]:
    """Return where another process finds a class: its module, the file of that, its name there."""
    if "<locals>" in cls.__qualname__ or cls.__module__ == "__main__":
        not_applicable(f"{cls.__qualname__} is made inside a function or a script, where no other process finds it")
    return cls.__module__, getattr(sys.modules.get(cls.__module__), "__file__", None), cls.__qualname__


def _secrets(model: type[BackendConfig]) -> dict[str, object]:
    """Return a secret value for each option that holds one, by its type or by its name."""
    found: dict[str, object] = {}
    for name, field in model.model_fields.items():
        kinds = set(_kinds(field.annotation))
        if SecretStr in kinds:
            found[name] = SecretStr(_SECRET)
        elif SecretBytes in kinds:
            found[name] = SecretBytes(_SECRET.encode())
        elif str in kinds and _SECRET_NAMES.search(name):
            found[name] = _SECRET
    return found


def _kinds(annotation: Any) -> list[Any]:
    arguments = get_args(annotation)
    return [kind for argument in arguments for kind in _kinds(argument)] if arguments else [annotation]
