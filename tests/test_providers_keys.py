"""Keys of providers: where they are found, what is refused, and that none is shown."""

from __future__ import annotations

import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from ctxkit.errors import AuthenticationFailedError
from ctxkit.providers import KeySource, Provider, ProviderConfig, ProviderLLMConfig, masked
from ctxkit.providers.keys import NO_KEY, owner_of

ACME = Provider(
    name="acme",
    title="Acme",
    address="https://api.acme.example/v1",
    domain="acme.example",
    address_variable="ACME_BASE_URL",
    key_variable="ACME_API_KEY",
    key_prefix="ac-",
    key_page="https://acme.example/keys",
    model_page="https://acme.example/models",
)
KEY = "ac-0123456789abcdef"


def key_of(address: str = ACME.address, **options: Any) -> str:
    """Return the key that a configuration leads to."""
    return KeySource(ACME, ProviderConfig(**options)).resolve(address)


def test_option_before_file_before_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nearest source counts, and each is looked at when the key is needed, not before."""
    file = tmp_path / "key"
    source = KeySource(ACME, ProviderConfig(key_file=file))
    with pytest.raises(AuthenticationFailedError, match="cannot be read: No such file"):
        source.resolve(ACME.address)
    file.write_text(f"  {KEY}-file\n")
    file.chmod(0o600)
    monkeypatch.setenv("ACME_API_KEY", f"{KEY}-variable")
    assert source.resolve(ACME.address) == f"{KEY}-file"
    file.write_text(f"{KEY}-changed")
    assert source.resolve(ACME.address) == f"{KEY}-changed"
    assert key_of(api_key=SecretStr(KEY), key_file=file) == KEY
    assert key_of(api_key=SecretStr("")) == f"{KEY}-variable"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """A key that a whole machine can read is not used, and the fix says what to type."""
    file = tmp_path / "key"
    file.write_text(KEY)
    file.chmod(mode)
    with pytest.raises(AuthenticationFailedError, match=f"has mode {mode:04o}.*Fix: chmod 600"):
        key_of(key_file=file)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    """An empty file is said to be empty, instead of leading on to another key."""
    file = tmp_path / "key"
    file.touch(mode=0o600)
    with pytest.raises(AuthenticationFailedError, match="is empty"):
        key_of(key_file=file)


def test_no_key_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider itself wants one, which the message says; a server of one's own may want none."""
    monkeypatch.delenv("ACME_API_KEY", raising=False)
    with pytest.raises(AuthenticationFailedError, match=r"authentication: there is no API key for Acme.*ACME_API_KEY"):
        key_of()
    assert key_of("http://localhost:8000/v1") == NO_KEY


def test_key_of_another_provider_is_not_sent() -> None:
    """A key that is plainly somebody else's stays here; a gateway may take any."""
    other = SecretStr("sk-ant-0123456789")
    with pytest.raises(AuthenticationFailedError, match="one of Anthropic, and was not sent to Acme") as caught:
        key_of(api_key=other)
    assert "of Acme, which begins with ac-" in str(caught.value.fix)
    alike = replace(ACME, key_prefix="sk-")
    with pytest.raises(AuthenticationFailedError) as caught:
        KeySource(alike, ProviderConfig(api_key=other)).resolve(ACME.address)
    assert "begins with" not in str(caught.value.fix), "so does the key that was refused"
    assert key_of("https://gateway.example/v1", api_key=other) == "sk-ant-0123456789"


@pytest.mark.parametrize(
    ("key", "owner"),
    [("sk-ant-x", "Anthropic"), ("sk-proj-x", "OpenAI"), ("gsk_x", "Groq"), ("sk-0123", None), ("token", None)],
)
def test_owner_is_told_by_the_beginning(key: str, owner: str | None) -> None:
    """What begins like nobody's in particular is nobody's."""
    assert owner_of(key) == owner


@pytest.mark.parametrize("broken", ["ac-one\nX-Header: two", "ac-one two", "ac-„quoted“", "ac-\x00"])
def test_broken_key_is_refused_and_not_shown(broken: str) -> None:
    """A key with a line break would become a header of its own, and the HTTP library would quote it."""
    with pytest.raises(AuthenticationFailedError, match="holds blanks, line breaks or letters") as caught:
        key_of(api_key=SecretStr(broken))
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    own = [
        line for frame in shown.stack if "ctxkit/providers" in frame.filename for line in (frame.locals or {}).values()
    ]
    assert own, "no frame of ctxkit was looked at"
    assert not [line for line in own if broken in line or repr(broken) in line]


def test_masking() -> None:
    """The key goes wherever it stands, and so does what looks like one, whole or with stars."""
    text = masked(f"bad key {KEY}, or sk-proj********wxyz, or Bearer abcdefghijklmnop; ask-me stays", KEY)
    assert text == "bad key (the key), or (the key), or (the key); ask-me stays"


def test_configuration_shows_no_key() -> None:
    """Neither what is printed or dumped, nor what pydantic says of a wrong value, holds a key."""
    config = ProviderLLMConfig(model="m", api_key=SecretStr(KEY))
    shown = [repr(config), str(config), config.model_dump_json(), repr(config.model_dump())]
    for wrong in ({"model": "m", "timeout": KEY}, {"model": "m", "api-key": KEY}, {"model": "m", "base_url": KEY}):
        with pytest.raises(ValidationError) as caught:
            ProviderLLMConfig.model_validate(wrong)
        shown += [str(caught.value), repr(caught.value)]
    assert not [text for text in shown if KEY in text]


@pytest.mark.parametrize(
    ("address", "problem"),
    [("localhost:11434", "must be an address"), ("ftp://x", "must be an address"), ("https://u:p@x", "no user")],
)
def test_address_is_checked(address: str, problem: str) -> None:
    """What is no address is told at once, and one with a password is refused because addresses are shown."""
    with pytest.raises(ValidationError, match=problem):
        ProviderConfig(base_url=address)


def test_address_comes_from_the_option_or_the_environment() -> None:
    """The option comes first, then the environment, then the provider's own; only the last is its own."""
    assert ACME.address_of("http://here/v1", {"ACME_BASE_URL": "http://there"}) == "http://here/v1"
    assert ACME.address_of(None, {"ACME_BASE_URL": "http://there"}) == "http://there"
    assert ACME.address_of(None, {}) == ACME.address
    assert [ACME.owns(each) for each in (ACME.address, "https://acme.example.evil.org", "http://localhost")] == [
        True,
        False,
        False,
    ]
