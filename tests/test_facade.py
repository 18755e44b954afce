"""The public face: names, documentation, and how errors travel."""

from __future__ import annotations

import importlib
import inspect
import multiprocessing
import pickle
import pkgutil

import pytest

import ctxkit
from ctxkit import errors
from ctxkit.defaults.estimator import EstimatingTokenizer
from ctxkit.errors import CtxkitError, StoreLockedError
from ctxkit.tokens import RememberingTokenizer, TokenCounter


def test_every_name_of_the_facade_is_there_and_sorted() -> None:
    """A name in `__all__` that fails on use would only be found by a user."""
    assert ctxkit.__all__ == sorted(ctxkit.__all__)
    for name in ctxkit.__all__:
        assert getattr(ctxkit, name) is not None
    assert set(ctxkit.__all__) <= set(dir(ctxkit))
    with pytest.raises(AttributeError, match="no_such_name"):
        ctxkit.no_such_name  # noqa: B018 - looking is the test


def public_modules() -> list[str]:
    """Return every module of the core whose path has no private part."""
    names = [module.name for module in pkgutil.walk_packages(ctxkit.__path__, "ctxkit.")]
    return [name for name in names if not any(part.startswith("_") for part in name.split("."))]


@pytest.mark.parametrize("name", public_modules())
def test_every_public_name_is_documented(name: str) -> None:
    """Modules, classes, functions, methods and properties that a user can reach have a docstring."""
    module = importlib.import_module(name)
    assert module.__doc__
    for label, member in vars(module).items():
        own = getattr(member, "__module__", None) == name
        if label.startswith("_") or not own or not (inspect.isclass(member) or inspect.isfunction(member)):
            continue
        assert member.__doc__, f"{name}.{label}"
        for attribute, value in vars(member).items() if inspect.isclass(member) else ():
            if attribute.startswith("_") or not (
                inspect.isfunction(value) or isinstance(value, (property, classmethod))
            ):
                continue
            assert inspect.getdoc(getattr(member, attribute)), f"{name}.{label}.{attribute}"


def test_the_error_tree_is_the_one_the_docstring_draws() -> None:
    """The drawing is what people read."""
    lines = (errors.__doc__ or "").splitlines()
    drawn = {
        line.split()[0]: len(line) - len(line.lstrip())
        for line in lines
        if line.split()[:1] and "Error" in line.split()[0]
    }
    tree = {name: getattr(errors, name) for name in errors.__all__}
    assert set(drawn) == set(tree)
    for name, indent in drawn.items():
        depth = len([base for base in tree[name].__mro__ if issubclass(base, CtxkitError)]) - 1
        assert indent == 2 * depth, name


def test_an_error_says_where_what_and_how_to_mend_it() -> None:
    """Backend and collection, the cause, then the fix."""
    error = StoreLockedError("another process writes.", fix="wait for it.", backend="faiss", collection="notes")
    assert str(error) == "faiss/notes: another process writes. Fix: wait for it."
    assert str(CtxkitError("plain.")) == "plain."


def _raise(_: object) -> None:
    raise StoreLockedError("busy.", fix="wait.", backend="exact", collection="c")


def test_an_error_crosses_process_boundaries_whole() -> None:
    """Worker pools send exceptions by pickle; the keywords must arrive too."""
    error = pickle.loads(pickle.dumps(StoreLockedError("busy.", fix="wait.", backend="exact")))  # noqa: S301 - our own
    assert (str(error), error.fix) == ("exact: busy. Fix: wait.", "wait.")
    with multiprocessing.get_context("spawn").Pool(1) as pool, pytest.raises(StoreLockedError, match="exact/c: busy"):
        pool.map(_raise, [None])


def test_token_counter_counts_and_cuts() -> None:
    """The two calls that everybody uses, under both import paths."""
    old_path = importlib.import_module("ctxkit.utils.token_counter")
    assert old_path.TokenCounter is TokenCounter
    counter = TokenCounter()
    text = "Your long text here, with some words to cut away at either end."
    assert not counter.exact
    assert counter.count_tokens(counter.truncate_to_tokens(text, 5)) <= 5
    assert text.endswith(counter.truncate_to_tokens(text, 5, side="left"))
    assert "estimate" in repr(counter)


def test_counts_are_remembered_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second count of a text costs no tokenizing, however many texts came between, up to the bound."""
    plain = EstimatingTokenizer()
    remembering = RememberingTokenizer(plain)
    assert (remembering.name, remembering.exact) == (plain.name, plain.exact)
    assert remembering.concatenation_bound == plain.concatenation_bound
    assert remembering.count("some words \udc80") == plain.count("some words \udc80")
    assert remembering.truncate("some words", 1) == plain.truncate("some words", 1)
    monkeypatch.setattr(EstimatingTokenizer, "count", lambda _self, _text: 99)
    assert remembering.count("some words \udc80") != 99
    assert remembering.count("other words") == 99
    monkeypatch.setattr("ctxkit.tokens._REMEMBERED", 2)
    remembering.count("third")
    assert remembering.count("some words \udc80") == 99
    for unsupported in (lambda: remembering.encode("a"), lambda: remembering.decode([1])):
        with pytest.raises(errors.UnsupportedError):
            unsupported()
