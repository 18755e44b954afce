"""Encodings: which one a model uses, that they are tiktoken's own, and where their vocabularies are found."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path
from typing import Any

import pytest
import tiktoken.load
from ctxkit_tiktoken.config import TiktokenConfig
from ctxkit_tiktoken.encodings import DEFINITIONS, encoding_for
from ctxkit_tiktoken.tokenizer import TiktokenTokenizer
from ctxkit_tiktoken.vocabulary import find_vocabulary, load_encoding
from pydantic import ValidationError
from tiktoken.model import MODEL_PREFIX_TO_ENCODING, MODEL_TO_ENCODING

from ctxkit.errors import TokenizerError

CACHE_NAME = "fb374d419588a4632f3f557e76b4b70aebbca790"  # SHA-1 of the address of o200k_base


def vocabulary(name: str = "o200k_base") -> Path:
    """Return the copy on this machine."""
    found = find_vocabulary(name)
    assert found is not None
    return found


@pytest.mark.parametrize("name", DEFINITIONS)
def test_definitions_are_those_of_tiktoken(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Expression, special tokens, address and digest are what the installed tiktoken would use."""
    asked: list[Any] = []

    def ask(url: str, expected_hash: str) -> dict[bytes, int]:
        asked.append((url, expected_hash))
        return {}

    public = importlib.import_module("tiktoken_ext.openai_public")
    monkeypatch.setattr(public, "load_tiktoken_bpe", ask)
    own = public.ENCODING_CONSTRUCTORS[name]()
    definition = DEFINITIONS[name]
    assert (definition.pattern, dict(definition.special_tokens)) == (own["pat_str"], own["special_tokens"])
    assert asked == [(definition.url, definition.sha256)]


@pytest.mark.parametrize(("model", "encoding"), [*MODEL_TO_ENCODING.items(), *MODEL_PREFIX_TO_ENCODING.items()])
def test_every_model_that_tiktoken_knows_has_its_encoding(model: str, encoding: str) -> None:
    """The table agrees with tiktoken's, but that gpt2 is r50k_base, which has the same tokens."""
    assert encoding_for(model) == {"gpt2": "r50k_base"}.get(encoding, encoding)


@pytest.mark.parametrize(
    ("model", "encoding"),
    [
        ("gpt-5.1-codex-mini", "o200k_base"),
        ("gpt-5", "o200k_base"),
        ("openai/gpt-4.1-nano", "o200k_base"),
        ("ft:gpt-4o-mini-2024-07-18:acme::abc", "o200k_base"),
        ("o4-mini-2025-04-16", "o200k_base"),
        ("gpt-oss-120b", "o200k_harmony"),
        ("gpt-4-turbo", "cl100k_base"),
        ("text-embedding-3-large", "cl100k_base"),
    ],
)
def test_names_as_they_occur(model: str, encoding: str) -> None:
    """Dated, fine-tuned and prefixed names are understood."""
    assert TiktokenConfig(model=model).encoding_name() == encoding


@pytest.mark.parametrize("model", ["claude-sonnet-4", "gpt-4.9", "o12", "llama-3", ""])
def test_unknown_models_are_not_guessed(model: str) -> None:
    """A wrong count that looks exact is worse than an error."""
    with pytest.raises(TokenizerError, match=r"no encoding is known for the model .* Fix: .*cl100k_base"):
        encoding_for(model)
    with pytest.raises(ValidationError):
        TiktokenConfig(model=model)


def test_model_and_encoding_have_to_agree() -> None:
    """What contradicts itself is refused; an encoding by itself, or for a model nobody knows, is taken."""
    with pytest.raises(ValidationError, match="uses o200k_base, not cl100k_base"):
        TiktokenConfig(model="gpt-4o", encoding="cl100k_base")
    with pytest.raises(ValidationError, match="'cl99' is no encoding"):
        TiktokenConfig(encoding="cl99")
    assert TiktokenConfig(model="my-model", encoding="cl100k_base").encoding_name() == "cl100k_base"
    assert TiktokenConfig().encoding_name() == "o200k_base"


@pytest.mark.parametrize("name", ["o200k_base.tiktoken", CACHE_NAME])
def test_a_directory_is_enough(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file under either name counts exactly, and tiktoken's own loading, which may download, is never called."""

    def refuse(*_: object) -> None:
        raise AssertionError("tiktoken was left to find the vocabulary")

    monkeypatch.setattr(tiktoken.load, "read_file_cached", refuse)
    shutil.copy(vocabulary(), tmp_path / name)
    tokenizer = TiktokenTokenizer(TiktokenConfig(directory=tmp_path, exact=True))
    assert tokenizer.encode("Hello, world!") == [13225, 11, 2375, 0]


@pytest.mark.parametrize("variable", ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"])
def test_tiktokens_cache_is_looked_at_first(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables that tiktoken obeys are obeyed here."""
    copy = shutil.copy(vocabulary(), tmp_path / CACHE_NAME)
    for each in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(variable, str(tmp_path))
    assert vocabulary() == copy


def test_a_damaged_copy_is_passed_over_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a download does not count, does not hide a sound copy, and is not deleted."""
    damaged = tmp_path / CACHE_NAME
    damaged.write_bytes(vocabulary().read_bytes()[:1_000_000])
    with pytest.raises(TokenizerError, match=rf"{CACHE_NAME} is damaged or another one"):
        TiktokenTokenizer(TiktokenConfig(directory=tmp_path, exact=True))
    shutil.copy(vocabulary(), tmp_path / "o200k_base.tiktoken")
    assert find_vocabulary("o200k_base", tmp_path) == tmp_path / "o200k_base.tiktoken"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert vocabulary() != damaged
    assert damaged.is_file()


def test_a_file_that_changes_after_it_was_found_is_a_typed_error(tmp_path: Path) -> None:
    """What is loaded is verified, not only what was found."""
    path = tmp_path / "o200k_base.tiktoken"
    path.write_bytes(b"IQ== 0\n")
    with pytest.raises(TokenizerError, match="digest is not the published one"):
        load_encoding("o200k_base", path)
    with pytest.raises(TokenizerError, match="cannot be used"):
        load_encoding("o200k_base", tmp_path / "absent")


def test_the_vocabulary_is_loaded_once() -> None:
    """Tokenizers of one encoding share what was loaded, because it takes a second and much memory."""
    assert load_encoding("o200k_base", vocabulary()) is load_encoding("o200k_base", vocabulary())
