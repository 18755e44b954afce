"""What the tests of `ctxkit doctor` share: running its checks, planting faults, and doing what it says mends them."""

from __future__ import annotations

import ctypes
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from cli_support import Cli, make_cli

from ctxkit.defaults.exact import ExactStore
from ctxkit.doctor import running
from ctxkit.doctor.checks import CHECKS, results
from ctxkit.doctor.running import Examined
from ctxkit.doctor.subject import Subject
from ctxkit.hookspecs import hookimpl
from ctxkit.interfaces import BackendSpec, Capabilities, CollectionSpec
from ctxkit.local.config import LocalConfig
from ctxkit.local.layout import collection_directory
from ctxkit.memory.entries import FIELDS
from ctxkit.memory.opening import COLLECTION
from ctxkit.records import Record

Told = dict[tuple[str, str], dict[str, Any]]
ANTHROPIC_KEY: Final = "sk-ant-" + "0123456789" * 3
OPENAI_KEY: Final = "sk-proj-" + "abcdefghij" * 3
LIGHT: Final = '[embedder]\nprovider = "none"\n[vector_store]\nprovider = "exact"\n'
STATIC: Final = '[embedder]\nprovider = "static"\n[vector_store]\nprovider = "exact"\n'
_COMMAND: Final = re.compile(r"`([^`]+)`")
_CAPABILITIES: Final = 0x20080522  # version 3, https://man7.org/linux/man-pages/man2/capset.2.html
_ANY_FILE: Final = 0b110  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH


def make_doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Return what runs command lines in an empty folder without anybody's keys, the checks in this process."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(running, "examine", examine_here)
    return make_cli(tmp_path, monkeypatch, capsys)


def examine_here(told: dict[str, Any], checks: Sequence[tuple[str, float]]) -> Iterator[Examined]:
    """Make the checks in this process, which is what the worker does in its own, but quicker."""
    subject = Subject.from_json(told)
    for name, _ in checks:
        yield Examined(name, 0.0, list(results(name, subject)))


def configure(folder: Path, text: str) -> Path:
    """Write the configuration file of a folder."""
    path = folder / "ctxkit.toml"
    path.write_text(text)
    return path


def verdicts(cli: Cli, *checks: str, options: tuple[str, ...] = ()) -> Told:
    """Make checks and return each result by check and subject; the exit code has to fit, and each fault has a fix."""
    only = [word for check in checks for word in ("--only", check)]
    outcome = cli("doctor", "--json", *only, *options)
    told = outcome.json
    assert outcome.code == (1 if told["counts"]["problem"] else 0), outcome
    assert [each["check"] for each in told["checks"]] == [name for name in CHECKS if name in checks]
    found = {(each["check"], result["subject"]): result for each in told["checks"] for result in each["results"]}
    assert [each for each in found.values() if each["verdict"] in ("warning", "problem") and not each["fix"]] == []
    return found


def is_content(told: Told) -> bool:
    """Whether nothing is wrong, and something was looked at."""
    return {each["verdict"] for each in told.values()} in ({"ok"}, {"ok", "not checked"})


def mend(cli: Cli, result: dict[str, Any], *less: str, **placed: str) -> None:
    """Run each command that a fix prints, as it is printed but for the words that stand for what only a user knows.

    `less` are options that leave out what is not looked at.
    """
    commands = _COMMAND.findall(result["fix"])
    assert commands, result
    for command in commands:
        words = [placed.get(word, word) for word in shlex.split(command)]
        if words[0] == "ctxkit":
            outcome = cli(*words[1:], *less)
            assert outcome.code == 0, outcome
        else:
            subprocess.run(words, check=True)


def make_store(folder: Path, *records: Record, fingerprint: str | None = None) -> Path:
    """Make a store of memories with some records; return the directory of its collection."""
    spec = CollectionSpec(name=COLLECTION, dimension=384, metric="cosine", fingerprint=fingerprint, fields=FIELDS)
    with ExactStore.open(spec, LocalConfig(path=folder)) as store:
        store.upsert(records)
    return collection_directory(folder, COLLECTION)


def memory(number: int, **metadata: Any) -> Record:
    """Return a memory without a vector."""
    return Record(f"m{number}", f"The dinghy number {number} is moored at the pier.", None, metadata)


def install(site: Path, name: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install a distribution with one plugin as pip would leave it, for this process and its children."""
    package = name.replace("-", "_")
    info = site / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[ctxkit]\n{package} = {package}\n")
    (site / f"{package}.py").write_text(module)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.syspath_prepend(site)


@contextmanager
def held_by_another(path: Path, code: str) -> Iterator[None]:
    """Run code in another process, which holds the file `path` until the block ends."""
    program = f"import sys; path = sys.argv[1]; {code}; print('ready', flush=True); sys.stdin.read()"
    command = [sys.executable, "-S", "-c", program, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield


class WordlessConfig(LocalConfig):
    """A store that searches by vectors alone, as servers do."""

    def capabilities(self) -> Capabilities:
        """Leave the search for words out."""
        return super().capabilities().model_copy(update={"text_search": None})


class WordlessStore(ExactStore):
    """Refuses to search texts, which its configuration declares."""

    backend = "wordless"


@hookimpl
def ctxkit_vector_stores() -> list[BackendSpec]:
    """Announce it, for `-p doctor_support`."""
    return [
        BackendSpec(
            name="wordless",
            factory="doctor_support:WordlessStore",
            config="doctor_support:WordlessConfig",
            capabilities=WordlessConfig().capabilities(),
            summary="for tests",
        )
    ]


@contextmanager
def bound_by_modes() -> Iterator[None]:
    """Have the modes of files bind root too, as they bind everybody else, in this thread and for a while."""
    if os.geteuid() != 0:
        yield
        return
    libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(_CAPABILITIES, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, sets) == 0
    effective = sets[0]
    sets[0] = effective & ~_ANY_FILE
    assert libc.capset(header, sets) == 0
    try:
        yield
    finally:
        sets[0] = effective
        assert libc.capset(header, sets) == 0
