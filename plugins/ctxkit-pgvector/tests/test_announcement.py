"""The announcement, the configuration and what they promise; no server is asked."""

from __future__ import annotations

import subprocess
import sys

import ctxkit_pgvector
import pytest
from ctxkit_pgvector.conditions import Column, condition
from ctxkit_pgvector.config import PgvectorConfig
from ctxkit_pgvector.session import scene_of, settings
from ctxkit_pgvector.store import PgvectorStore
from pydantic import SecretStr, ValidationError

from ctxkit.defaults.exact import ExactConfig
from ctxkit.errors import ConfigError, UnsupportedError
from ctxkit.filters import parse
from ctxkit.interfaces import BackendSpec, CollectionSpec

HUSH = "hush-hush-password"


def test_announcement_imports_no_psycopg() -> None:
    """Neither listing plugins nor making a configuration loads the driver."""
    code = "import sys, ctxkit_pgvector.config as c; c.PgvectorConfig(); print('psycopg' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
    spec = ctxkit_pgvector.ctxkit_vector_stores()[0]
    assert isinstance(spec, BackendSpec)
    assert (spec.name, spec.capabilities) == ("pgvector", PgvectorConfig().capabilities())


@pytest.mark.parametrize(
    "wrong",
    [
        {"schema_name": ""},
        {"schema_name": "a\0b"},
        {"schema_name": "x" * 64},
        {"schema_name": "é" * 32},
        {"schema_name": "$user"},
        {"schema_name": "pg_notes"},
        {"pool_size": 0},
        {"pool_timeout": 0},
        {"statement_timeout": -1},
        {"index": "ivfflat"},
        {"m": 1},
        {"no_such_option": 1},
    ],
)
def test_impossible_options_are_refused(wrong: dict[str, object]) -> None:
    """Names that PostgreSQL cannot have, numbers without meaning, an index that there is not."""
    with pytest.raises(ValidationError):
        PgvectorConfig.model_validate(wrong)


def test_another_stores_configuration_is_refused() -> None:
    """A configuration of another backend is an error that names ours."""
    for call in (
        lambda: PgvectorStore.open(CollectionSpec(dimension=2), ExactConfig()),
        lambda: PgvectorStore.list_collections(ExactConfig()),
    ):
        with pytest.raises(ConfigError, match="PgvectorConfig"):
            call()


def test_a_password_in_the_address_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not by the configuration, nor by an error of its validation, nor by where errors say that they happened."""
    config = PgvectorConfig(conninfo=SecretStr(f"postgresql://me:{HUSH}@db.example:5433/app"))
    monkeypatch.setenv("PGPASSWORD", "another-hush")
    scene = scene_of(config, "notes")
    for shown in (repr(config), str(config), config.model_dump_json(), repr(scene), str(scene.unavailable(HUSH))):
        assert HUSH not in shown
    assert scene.where == "PostgreSQL at db.example:5433, schema 'ctxkit'"
    assert "another-hush" not in str(scene.unavailable("refused: another-hush"))
    with pytest.raises(ValidationError) as caught:
        PgvectorConfig.model_validate({"conninfo": [HUSH]})
    assert HUSH not in str(caught.value)


def test_other_secrets_of_libpq_are_never_shown() -> None:
    """The password of a client's key, too, and one whose spaces a message in one line would change."""
    config = PgvectorConfig(conninfo=SecretStr(f"host=x sslpassword={HUSH} password='a  b'"))
    assert str(scene_of(config).unavailable(f"no {HUSH}, no 'a  b'")).count("***") == 2


def test_a_malformed_address_is_refused_without_being_shown() -> None:
    """libpq quotes what it does not understand, which may be the password."""
    with pytest.raises(ConfigError, match="connection string") as caught:
        PgvectorStore.list_collections(PgvectorConfig(conninfo=SecretStr(f"host=x {HUSH}")))
    assert HUSH not in str(caught.value)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_filter_with_too_many_values() -> None:
    """Said before anything is sent, with the form that PostgreSQL takes."""
    with pytest.raises(UnsupportedError, match=r"65001 values.*\$in"):
        condition(parse({"$or": [{"x": "a"}] * 65_001}), {"x": Column("f0", "str")})


def test_what_is_declared_depends_on_the_index() -> None:
    """A graph is approximate, looking at every record is exact."""
    assert not PgvectorConfig().capabilities().exact
    assert PgvectorConfig(index="none").capabilities().exact


def test_limits_of_time_go_to_the_server() -> None:
    """Seconds become milliseconds; a patient session has no limit on a statement."""
    config = PgvectorConfig(statement_timeout=0.0005, lock_timeout=2)
    assert settings(config)[1][1:3] == ("1", "2000")
    assert settings(config, patient=True)[1][1] == "0"
