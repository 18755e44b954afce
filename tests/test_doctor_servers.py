"""`ctxkit doctor` on stores at servers: down, up, with a wrong password, with nothing that a search would find."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from cli_support import Cli
from ctxkit_chroma.harness import ChromaServer
from ctxkit_chroma.lock import LOCK
from ctxkit_pgvector.server import PostgresServer
from doctor_support import STATIC, configure, held_by_another, is_content, make_doctor, mend, verdicts

CONNINFO = "CTXKIT_VECTOR_STORE__CONNINFO"
PASSWORD = "mooring post"  # noqa: S105 - of a server of these tests
POSTGRES = '[vector_store]\nprovider = "pgvector"\npool_timeout = 0.5\n[embedder]\nprovider = "static"\n'
CLOSED = 'host = "127.0.0.1"\nport = 9\n'


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder with a note, the doctor's checks in this process."""
    (tmp_path / "note.md").write_text("The dinghy is moored at the old pier.\n")
    return make_doctor(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="module", name="postgres")
def _postgres() -> Iterator[str]:
    """A PostgreSQL whose user has a password: how to connect, without that."""
    server = PostgresServer()
    try:
        with psycopg.connect(server.conninfo, autocommit=True) as connection:
            connection.execute(f"ALTER ROLE postgres PASSWORD '{PASSWORD}'")
            connection.execute("CREATE EXTENSION vector")
            access = server.data / "pg_hba.conf"
            access.write_text("host all all 127.0.0.1/32 scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield server.conninfo
    finally:
        server.stop()


@pytest.fixture(scope="module", name="chroma")
def _chroma() -> Iterator[str]:
    """A server of Chroma: its options in a configuration."""
    server = ChromaServer()
    yield f'host = "127.0.0.1"\nport = {server.port}\n'
    server.stop()


def chroma_file(place: str, embedder: str) -> str:
    """Return a configuration of Chroma at a place."""
    return f'[vector_store]\nprovider = "chroma"\n{place}[embedder]\nprovider = "{embedder}"\n'


@pytest.mark.parametrize("told", ["host=127.0.0.1 port=9 user=u password='{}'", "postgresql://u:{}@127.0.0.1:9/app"])
def test_a_database_that_is_down_is_found(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: str) -> None:
    """It is said where it should be, what to do, and no password, however it was written."""
    configure(tmp_path, POSTGRES)
    monkeypatch.setenv(CONNINFO, told.format(quote(PASSWORD) if "://" in told else PASSWORD))
    outcome = cli("doctor", "--only", "machine", "--only", "store", "--only", "round-trip")
    text = " ".join(outcome.out.split())
    assert outcome.code == 1
    assert "PostgreSQL at 127.0.0.1:9, schema 'ctxkit' cannot be used" in text
    assert "Fix: start the server, or correct host and port." in text
    assert "is at a server, where nothing is tried out; exact stands in" in text
    assert [word for word in (PASSWORD, quote(PASSWORD)) if word in text] == []


@pytest.mark.slow
def test_a_database_is_examined_and_a_wrong_password_is_told_and_never_shown(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres: str
) -> None:
    """The variable that the fix names opens it; then nothing is wrong, before and after there is a memory."""
    configure(tmp_path, POSTGRES)
    monkeypatch.setenv(CONNINFO, f"{postgres} password='not the {PASSWORD}'")
    outcome = cli("doctor", "--only", "store")
    text = " ".join(outcome.out.split())
    assert (outcome.code, "password authentication failed" in text) == (1, True)
    assert "Fix: set PGPASSWORD" in text
    assert PASSWORD not in outcome.out + outcome.err
    monkeypatch.setenv(CONNINFO, postgres)
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    assert verdicts(cli, "store")["store", "store"]["found"].startswith("there is none in pgvector:conninfo=****")
    assert cli("ingest", "note.md").code == 0
    found = verdicts(cli, "machine", "store")
    assert is_content(found)
    assert found["store", "records"]["found"].startswith("1 in all, 1 with a vector")
    unsearched = verdicts(cli, "store", options=("--set", "embedder.provider=none"))["store", "embedder"]
    assert unsearched["verdict"] == "warning"
    other = verdicts(cli, "store", options=("--set", "embedder.dimension=128"))["store", "embedder"]
    mend(cli, other, PLACE="exact:anew")
    monkeypatch.delenv(CONNINFO)
    configure(tmp_path, STATIC)
    assert is_content(verdicts(cli, "store", options=("--store", "anew", "--set", "embedder.dimension=128")))


def test_a_server_of_chroma_that_is_down_is_found(cli: Cli, tmp_path: Path) -> None:
    """It is said where it should be and what starts it, by every check that asks it."""
    configure(tmp_path, chroma_file(CLOSED, "static"))
    found = verdicts(cli, "machine", "store")
    assert (
        found["machine", "disk"]["found"] == "the store is chroma:host=127.0.0.1,port=9, in no folder of this machine"
    )
    assert "the server 127.0.0.1:9 cannot be used" in found["store", "store"]["found"]
    assert "`chroma run`" in found["store", "store"]["fix"]


@pytest.mark.slow
def test_a_server_of_chroma_whose_records_no_search_finds(cli: Cli, tmp_path: Path, chroma: str) -> None:
    """It searches no texts, and without an embedder nothing has a vector; the commands that are printed mend both."""
    configure(tmp_path, chroma_file(chroma, "none"))
    assert cli("ingest", "note.md").code == 0
    assert "Nothing found." in cli("query", "dinghy").out
    found = verdicts(cli, "store")
    assert found["store", "records"]["found"].startswith("1 in all, 0 with a vector")
    assert found["store", "embedder"]["verdict"] == "problem"
    assert "no search finds its records (1)" in found["store", "embedder"]["found"]
    assert cli("doctor", "--only", "configuration", "--fix").code == 0
    trapped = verdicts(cli, "store", options=("--fix",))["store", "embedder"]
    assert (trapped["verdict"], "no model that is known" in trapped["found"]) == ("problem", True)
    mend(cli, trapped, PLACE="chroma:anew")
    configure(tmp_path, chroma_file("", "static"))
    assert is_content(verdicts(cli, "store", options=("--store", "anew")))
    assert "dinghy" in cli("query", "dinghy", "--store", "anew").out


def test_a_folder_of_chroma_that_another_program_has_open(cli: Cli, tmp_path: Path) -> None:
    """It takes one at a time; once that has gone, the command that is printed is content."""
    configure(tmp_path, chroma_file("", "static"))
    assert cli("ingest", "note.md").code == 0
    (lock,) = (tmp_path / ".ctxkit").rglob(LOCK)
    with held_by_another(lock, "import fcntl; file = open(path, 'r+'); fcntl.flock(file, fcntl.LOCK_EX)"):
        held = verdicts(cli, "store")["store", "store"]
    assert held["verdict"] == "problem"
    assert held["fix"].startswith("end the program that has it, or wait")
    mend(cli, held)


def test_a_folder_of_chroma_that_was_filled_without_an_embedder(cli: Cli, tmp_path: Path) -> None:
    """Chroma cannot take the vectors later, and memory refuses it: the command makes another folder that has them."""
    configure(tmp_path, chroma_file("", "none"))
    assert cli("ingest", "note.md").code == 0
    assert is_content(verdicts(cli, "configuration", "store"))  # embedded, it searches texts
    configure(tmp_path, chroma_file("", "static"))
    assert cli("query", "dinghy").code == 1
    mend(cli, verdicts(cli, "store")["store", "embedder"])
    assert is_content(verdicts(cli, "store", options=("--store", ".ctxkit-reembedded")))
