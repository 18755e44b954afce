"""`ctxkit doctor` on a machine: room, memory and rights, and the round trip of a turn."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_support import Cli
from components import Faults, FaultyEmbedder
from doctor_support import (
    LIGHT,
    STATIC,
    bound_by_modes,
    configure,
    is_content,
    make_doctor,
    make_store,
    memory,
    mend,
    verdicts,
)

from ctxkit.doctor import machine


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder, the doctor's checks in this process."""
    return make_doctor(tmp_path, monkeypatch, capsys)


@pytest.fixture(name="no_room")
def _no_room() -> Iterator[None]:
    """Let no file grow beyond 20 000 bytes, which is what a quota looks like."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.usefixtures("no_room")
def test_no_room_is_found(cli: Cli, tmp_path: Path) -> None:
    """A limit on the size of files is what a quota looks like; after it is raised all is well."""
    configure(tmp_path, LIGHT)
    found = verdicts(cli, "machine", "round-trip")
    assert found["machine", "disk"]["verdict"] == found["round-trip", "round trip"]["verdict"] == "problem"
    assert found["machine", "disk"]["fix"].startswith("free some space or raise the quota, or name another folder")
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert is_content(verdicts(cli, "machine", "round-trip"))


def test_no_room_for_temporary_files_is_a_verdict(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The round trip needs a folder of its own; the variable that is named gives it another."""
    configure(tmp_path, LIGHT)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    found = verdicts(cli, "round-trip")["round-trip", "round trip"]
    assert (found["verdict"], "set TMPDIR to a folder" in found["fix"]) == ("problem", True)


def test_a_disk_that_is_nearly_full_is_a_warning(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Below 500 MiB it is said how much there is."""
    configure(tmp_path, LIGHT)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=499 << 20))
    found = verdicts(cli, "machine")["machine", "disk"]
    assert (found["verdict"], found["found"]) == ("warning", f"only 499 MiB free under {tmp_path}")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=501 << 20))
    assert is_content(verdicts(cli, "machine"))


def test_a_store_that_the_machine_cannot_hold_is_found(cli: Cli, tmp_path: Path) -> None:
    """Less memory than the store has is a warning, less room than it has a problem."""
    configure(tmp_path, LIGHT)
    folder = make_store(tmp_path / ".ctxkit", memory(1))
    assert is_content(verdicts(cli, "machine"))
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 43)  # of holes: it takes no room itself
    found = verdicts(cli, "machine")
    assert (found["machine", "memory"]["verdict"], found["machine", "disk"]["verdict"]) == ("warning", "problem")
    assert "about 8192 GiB needed" in found["machine", "memory"]["found"]
    (folder / "huge").unlink()
    assert is_content(verdicts(cli, "machine"))


@pytest.mark.needs_torch
def test_the_model_counts_among_what_is_needed(cli: Cli, tmp_path: Path) -> None:
    """The configured model's own size is added, as its plugin lists it."""
    configure(tmp_path, LIGHT)
    needed = [
        int(verdicts(cli, "machine", options=options)["machine", "memory"]["found"].split("about ")[1].split(" MiB")[0])
        for options in ((), ("--set", "embedder.provider=sentence-transformers"))
    ]
    assert needed[0] == 150
    assert needed[1] > 200


@pytest.mark.parametrize(("limit", "free"), [("300000000\n", "191 MiB"), ("max\n", None)])
def test_the_limit_of_a_container_counts(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, free: str | None
) -> None:
    """What the container may still take is free, where it has a limit; the machine's own memory otherwise."""
    configure(tmp_path, LIGHT)
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text("100000000\n")
    monkeypatch.setattr(machine, "_GROUP", tmp_path)
    found = verdicts(cli, "machine")["machine", "memory"]["found"]
    assert found.startswith(f"{free} free") is (free is not None)


@pytest.mark.parametrize("closed", ["", "collection", "collection/store.db"])
def test_a_store_that_cannot_be_written_is_found(cli: Cli, tmp_path: Path, closed: str) -> None:
    """Be it the folder, a collection's or one file: reading would go well and the next turn be lost."""
    configure(tmp_path, LIGHT)
    folder = make_store(tmp_path / ".ctxkit", memory(1))
    path = tmp_path / ".ctxkit" / closed.replace("collection", folder.name)
    path.chmod(0o555 if path.is_dir() else 0o444)
    with bound_by_modes():
        found = verdicts(cli, "machine")["machine", "disk"]
        assert found["verdict"] == "problem"
        assert str(path) in found["found"]
        mend(cli, found)
        assert is_content(verdicts(cli, "machine", "store"))


def test_a_store_that_is_closed_to_this_user_is_found(cli: Cli, tmp_path: Path) -> None:
    """Neither check ends in a traceback, and the command that is printed opens it."""
    configure(tmp_path, LIGHT)
    make_store(tmp_path / ".ctxkit", memory(1))
    (tmp_path / ".ctxkit").chmod(0)
    with bound_by_modes():
        found = verdicts(cli, "machine", "store")
        assert found["machine", "disk"]["verdict"] == found["store", "store"]["verdict"] == "problem"
        mend(cli, found["machine", "disk"])
        assert is_content(verdicts(cli, "machine", "store"))


def test_what_to_do_about_a_folder_depends_on_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its owner has a command, others have to ask; room is room, and a file system can be read-only."""
    remedies = {
        error: machine._remedy(tmp_path, OSError(error, "")) for error in (errno.EACCES, errno.ENOSPC, errno.EROFS)
    }
    assert remedies[errno.EACCES] == f"`chmod -R u+rwX {tmp_path}`"
    assert remedies[errno.ENOSPC] == "free some space or raise the quota"
    assert remedies[errno.EROFS] == "mount its file system so that it can be written"
    owner, another = tmp_path.stat().st_uid, tmp_path.stat().st_uid + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    assert machine._remedy(tmp_path, OSError(errno.EACCES, "")).startswith(f"have the user {owner}, who owns it")


def test_a_turn_that_does_not_reach_the_context_is_found(cli: Cli, tmp_path: Path) -> None:
    """Every component works, and a budget leaves out what was said; the check that is named shows the option."""
    configure(tmp_path, f"[memory]\nprompt_token_budget = 20\n{LIGHT}")
    found = verdicts(cli, "round-trip")["round-trip", "round trip"]
    assert (found["verdict"], "not in the context" in found["found"]) == ("problem", True)
    named = verdicts(cli, "configuration")
    assert "prompt_token_budget (20) is below" in named["configuration", "file"]["found"]
    mend(cli, found)
    mend(cli, named["configuration", "file"])
    assert is_content(verdicts(cli, "round-trip"))


def test_the_round_trip_is_timed_and_leaves_nothing(cli: Cli, tmp_path: Path) -> None:
    """It uses a store of its own, also where the configuration names a path, and neither makes nor changes that."""
    configure(tmp_path, f'{STATIC}path = "mine"\n')
    found = verdicts(cli, "round-trip")["round-trip", "round trip"]
    assert found["verdict"] == "ok"
    assert [
        word for word in ("opened in", "a turn stored in", "put into a context of") if word not in found["found"]
    ] == []
    assert [path.name for path in tmp_path.iterdir()] == ["ctxkit.toml"]


def test_an_embedder_that_fails_is_found(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn is stored without a vector, and memory goes on: the doctor says so, and why, until it works again."""
    faults = Faults()
    monkeypatch.setattr(FaultyEmbedder, "faults", faults)
    configure(tmp_path, LIGHT)
    options = ("-p", "components", "--set", "embedder.provider=faulty")
    faults.mode = "raise"
    found = verdicts(cli, "round-trip", options=options)["round-trip", "embedder"]
    faults.mode = "ok"
    assert (found["verdict"], found["found"].startswith("it did not embed: ")) == ("problem", True)
    mend(cli, found)
    assert is_content(verdicts(cli, "round-trip", options=options))
