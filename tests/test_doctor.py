"""`ctxkit doctor`: faults planted for real, each found with the right verdict, and gone after the fix it names."""

from __future__ import annotations

import fcntl
import importlib
import os
import re
import resource
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from cli_support import Cli, make_cli
from ctxkit_conformance.faults import FaultServer, step

from ctxkit.cli.doctor_command import doctor
from ctxkit.defaults.exact import ExactStore
from ctxkit.doctor import running
from ctxkit.doctor.checks import CHECKS, Check, results
from ctxkit.doctor.running import Examined
from ctxkit.doctor.subject import Subject
from ctxkit.interfaces import CollectionSpec
from ctxkit.local.config import LocalConfig
from ctxkit.local.layout import collection_directory
from ctxkit.memory.entries import FIELDS, PENDING
from ctxkit.memory.opening import COLLECTION
from ctxkit.records import Record

ANTHROPIC_KEY = "sk-ant-" + "0123456789" * 3
OPENAI_KEY = "sk-proj-" + "abcdefghij" * 3
IN_A_PROCESS = running.examine
LIGHT = '[embedder]\nprovider = "none"\n[vector_store]\nprovider = "exact"\n'


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder, without anybody's keys."""
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(running, "examine", examine_here)
    return make_cli(tmp_path, monkeypatch, capsys)


@pytest.fixture(name="apart")
def _apart(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run command lines as users do: their checks are made in a process of its own."""
    monkeypatch.setattr(running, "examine", IN_A_PROCESS)
    return cli


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


def verdicts(cli: Cli, *checks: str, options: tuple[str, ...] = ()) -> dict[tuple[str, str], dict[str, Any]]:
    """Make checks and return each result by check and subject; the exit code has to fit."""
    only = [word for check in checks for word in ("--only", check)]
    outcome = cli("doctor", "--json", *only, *options)
    told = outcome.json
    assert outcome.code == (1 if told["counts"]["problem"] else 0), outcome
    assert [each["check"] for each in told["checks"]] == [name for name in CHECKS if name in checks]
    return {(each["check"], result["subject"]): result for each in told["checks"] for result in each["results"]}


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


def test_a_healthy_installation_is_told_to_be_healthy(apart: Cli, tmp_path: Path) -> None:
    """Every check is made, none finds a problem, and what is printed fits a terminal of 80 columns."""
    configure(tmp_path, LIGHT)
    make_store(tmp_path / ".ctxkit", memory(1))
    outcome = apart("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert [name for name in CHECKS if name not in lines] == []
    assert "  ok  round trip  opened in" in outcome.out
    assert lines[-1].startswith("0 problems, 0 warnings, ")
    assert "Traceback" not in outcome.out


def test_the_documentation_has_every_check() -> None:
    """In the order in which they are made, and the help names them too."""
    page = (Path(__file__).parents[1] / "docs" / "doctor.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| `([a-z-]+)` \|", page.partition("## The checks")[2], re.MULTILINE) == list(CHECKS)
    assert f"The checks: {', '.join(CHECKS)}." in " ".join(str(doctor.__doc__).split())


def test_an_unknown_check_is_a_wrong_command_line(cli: Cli) -> None:
    """Exit code 2, as for any other misspelling, and the names that there are."""
    outcome = cli("doctor", "--only", "stroe")
    assert (outcome.code, outcome.out) == (2, "")
    assert "choose of configuration, installation" in outcome.err


def test_every_fault_of_a_configuration_is_found_and_mended(cli: Cli, tmp_path: Path) -> None:
    """Negative capacity, conflict, unknown provider, wrong dimension, a key in the file, a misspelled option."""
    path = configure(
        tmp_path,
        "[memory]\nstm_capacity = -1\nprompt_token_budget = 100\nrecnt_k = 4\n"
        '[vector_store]\nprovider = "exactt"\ndimension = 100\n[embedder]\nprovider = "static"\n'
        f'[llm]\napi_key = "{ANTHROPIC_KEY}"\n',
    )
    outcome = cli("doctor", "--only", "configuration")
    assert outcome.code == 1
    assert ANTHROPIC_KEY not in outcome.out
    text = " ".join(outcome.out.split())
    for words in (
        "line 2: memory.stm_capacity must be at least 1 (is -1)",
        "line 3: memory.prompt_token_budget (100) is below memory.stm_capacity (8000)",
        "line 4: memory.recnt_k: there is no such option Fix: did you mean memory.recent_k?",
        "line 6: vector_store.provider: no installed plugin provides the vector_store 'exactt'",
        "line 7: vector_store.dimension is 100, but the vectors of static have 384",
        "line 11: llm.api_key holds a key",
        "5 problems, 1 warning",
    ):
        assert words in text
    assert cli("doctor", "--only", "configuration", "--fix").code == 0
    assert cli("doctor", "--only", "configuration", "--strict").code == 0
    assert path.read_text() == (
        "[memory]\nstm_capacity = 8000\nprompt_token_budget = 12000\nrecent_k = 4\n"
        '[vector_store]\nprovider = "exact"\ndimension = 384\n[embedder]\nprovider = "static"\n[llm]\n'
    )


def test_warnings_count_under_strict(cli: Cli, tmp_path: Path) -> None:
    """A pipeline chooses what stops it."""
    configure(tmp_path, "[memory]\nprompt_token_budget = 100\n")
    assert cli("doctor", "--only", "configuration").code == 0
    assert cli("doctor", "--only", "configuration", "--strict").code == 1


def test_a_file_that_cannot_be_read_stops_no_other_check(cli: Cli, tmp_path: Path) -> None:
    """The slip is told with its line, and the rest is examined with the defaults."""
    path = configure(tmp_path, "[memory\n")
    found = verdicts(cli, "configuration", "installation", "machine")
    assert found["configuration", "file"]["verdict"] == "problem"
    assert found["configuration", "file"]["found"].startswith("ctxkit.toml, line 1: ")
    assert found["installation", "ctxkit"]["verdict"] == found["machine", "disk"]["verdict"] == "ok"
    path.write_text("[memory]\n")
    assert verdicts(cli, "configuration")["configuration", "values"]["verdict"] == "ok"


def test_a_missing_library_is_a_problem_where_it_is_used(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The component is installed, what it needs is not: the line that installs it is printed, and mends it."""
    site, wheels = tmp_path / "site", tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "acme_native.py").write_text("")
    install(
        site,
        "acme-vectors",
        "from ctxkit.hookspecs import hookimpl\nfrom ctxkit.interfaces import BackendSpec\n"
        "from ctxkit.local.capabilities import local_capabilities\n"
        "@hookimpl\ndef ctxkit_vector_stores():\n"
        "    return [BackendSpec(name='acme', factory='ctxkit.defaults.exact:ExactStore',\n"
        "        config='ctxkit.local.config:LocalConfig', capabilities=local_capabilities(durable=True),\n"
        "        summary='an example',\n"
        f"        requires=('acme_native',), install_hint='cp {wheels}/acme_native.py {site}')]\n",
        monkeypatch,
    )
    unused = verdicts(cli, "installation")
    assert unused["installation", "acme"]["verdict"] == "warning"
    configure(tmp_path, '[vector_store]\nprovider = "acme"\n')
    found = verdicts(cli, "installation", "imports", "store")
    assert found["installation", "vector store"]["verdict"] == "problem"
    assert "'acme_native', which is not installed" in found["installation", "vector store"]["found"]
    assert found["store", "store"]["verdict"] == "not checked"
    subprocess.run(shlex.split(found["installation", "vector store"]["fix"]), check=True)
    importlib.invalidate_caches()
    again = verdicts(cli, "installation", "imports")
    assert again["installation", "vector store"]["verdict"] == again["imports", "acme"]["verdict"] == "ok"


def test_a_library_that_does_not_import_is_a_problem(
    apart: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is there, and broken: a shared object is missing, say."""
    site = tmp_path / "site"
    install(site, "acme-faiss", "", monkeypatch)
    (site / "faiss.py").write_text("raise OSError('libfaiss.so: cannot open shared object file')\n")
    configure(tmp_path, '[vector_store]\nprovider = "faiss"\n')
    found = verdicts(apart, "imports")["imports", "faiss"]
    assert found["verdict"] == "problem"
    assert "libfaiss.so: cannot open shared object file" in found["found"]
    (site / "faiss.py").unlink()
    assert verdicts(apart, "imports")["imports", "faiss"]["verdict"] == "ok"


def test_a_broken_plugin_is_a_verdict(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error and the variable that leaves it out are told; everything else is examined."""
    install(tmp_path / "site", "acme-broken", "raise RuntimeError('made on a Monday')\n", monkeypatch)
    monkeypatch.setenv("CTXKIT_STRICT_PLUGINS", "1")
    found = verdicts(cli, "installation", "round-trip")
    broken = found["installation", "acme-broken"]
    assert (broken["verdict"], "made on a Monday" in broken["found"]) == ("problem", True)
    assert broken["fix"].endswith("or leave it out with CTXKIT_DISABLE_PLUGINS=acme-broken.")
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "acme-broken")
    monkeypatch.delenv("CTXKIT_STRICT_PLUGINS")
    assert verdicts(cli, "installation")["installation", "acme-broken"]["verdict"] == "not checked"


def test_a_plugin_that_ends_the_process_is_a_verdict_too(
    apart: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash of native code is told of each check that it spoils, and the next one is made all the same."""
    code = f"import os\nos.kill(os.getpid(), {int(signal.SIGSEGV)})\n"
    install(tmp_path / "site", "acme-crashing", code, monkeypatch)
    found = verdicts(apart, "installation", "machine")
    for check in ("installation", "machine"):
        assert found[check, check]["verdict"] == "problem"
        assert "SIGSEGV" in found[check, check]["found"]
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "acme-crashing")
    assert verdicts(apart, "machine")["machine", "disk"]["verdict"] == "ok"


def test_a_plugin_that_is_named_and_missing_is_a_verdict(cli: Cli) -> None:
    """`-p` with a file that is not there."""
    found = verdicts(cli, "installation", options=("-p", "nowhere/acme.py"))
    assert found["installation", "plugin"]["verdict"] == "problem"


def test_a_check_that_fails_is_a_verdict(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises is told in one line, with the command that shows the traceback, and the next one is made."""
    monkeypatch.setitem(cast("dict[str, Check]", CHECKS), "installation", Check("ctxkit.doctor.nowhere", ""))
    found = verdicts(cli, "installation", "machine")
    assert found["installation", "installation"]["verdict"] == "problem"
    assert "No module named 'ctxkit.doctor.nowhere'" in found["installation", "installation"]["found"]
    assert found["machine", "disk"]["verdict"] == "ok"
    quiet, loud = (cli(*options, "doctor", "--only", "installation").err for options in ((), ("--debug",)))
    assert quiet == ""
    assert "Traceback" in loud
    assert "`ctxkit --debug doctor --only installation`" in found["installation", "installation"]["fix"]


def test_keys_are_judged_and_never_shown(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Missing, of a bad shape, of another provider; only what is used is a problem. A good one is ok."""
    configure(tmp_path, '[llm]\nprovider = "anthropic"\n')
    missing = verdicts(cli, "keys")
    assert missing["keys", "ANTHROPIC_API_KEY"]["verdict"] == "problem"
    assert missing["keys", "OPENAI_API_KEY"]["verdict"] == "ok"
    monkeypatch.setenv("OPENAI_API_KEY", ANTHROPIC_KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", "your-anthropic-api-key")
    wrong = verdicts(cli, "keys")
    assert wrong["keys", "ANTHROPIC_API_KEY"]["verdict"] == "problem"
    assert "does not begin with sk-ant-" in wrong["keys", "ANTHROPIC_API_KEY"]["found"]
    assert wrong["keys", "OPENAI_API_KEY"]["verdict"] == "warning"
    assert "is one of Anthropic" in wrong["keys", "OPENAI_API_KEY"]["found"]
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    monkeypatch.setenv("ANTHROPIC_API_KEY", ANTHROPIC_KEY)
    shown = cli("doctor", "--only", "keys")
    assert shown.code == 0
    assert not [part for part in (ANTHROPIC_KEY[7:], OPENAI_KEY[8:]) if part[:6] in shown.out + str(wrong)]
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-short")
    assert "too short" in verdicts(cli, "keys")["keys", "ANTHROPIC_API_KEY"]["found"]


def test_a_model_that_is_not_there_is_found(cli: Cli, tmp_path: Path) -> None:
    """A missing folder is a problem, a name that is nearly one of the listed a warning, a missing file named."""
    path = configure(tmp_path, '[embedder]\nprovider = "sentence-transformers"\nmodel = "./models/mine"\n')
    found = verdicts(cli, "models")["models", "sentence-transformers"]
    assert (found["verdict"], found["found"]) == ("problem", "there is no folder ./models/mine")
    (tmp_path / "models" / "mine").mkdir(parents=True)
    assert verdicts(cli, "models")["models", "sentence-transformers"]["verdict"] == "ok"
    path.write_text('[embedder]\nprovider = "sentence-transformers"\nmodel = "all-MiniLM-L6-v3"\n')
    found = verdicts(cli, "models")["models", "sentence-transformers"]
    assert (found["verdict"], found["fix"]) == ("warning", "did you mean 'all-MiniLM-L6-v2'?")
    path.write_text('[tokenizer]\nprovider = "tiktoken"\ndirectory = "vocabularies"\n')
    assert verdicts(cli, "models")["models", "tiktoken"]["verdict"] == "problem"


def test_a_file_in_the_place_of_the_store_is_found(cli: Cli, tmp_path: Path) -> None:
    """Nothing can be written there; another folder can be named."""
    configure(tmp_path, LIGHT)
    (tmp_path / ".ctxkit").write_text("")
    found = verdicts(cli, "machine", "store")
    assert found["machine", "disk"]["verdict"] == found["store", "store"]["verdict"] == "problem"
    assert found["store", "store"]["fix"] == "name a folder with --store."
    again = verdicts(cli, "machine", "store", options=("--store", "other"))
    assert (again["machine", "disk"]["verdict"], again["store", "store"]["verdict"]) == ("ok", "not checked")


def test_no_room_is_found(cli: Cli, tmp_path: Path) -> None:
    """A limit on the size of files is what a quota looks like; after it is raised all is well."""
    configure(tmp_path, LIGHT)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        found = verdicts(cli, "machine", "round-trip")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert found["machine", "disk"]["verdict"] == found["round-trip", "round trip"]["verdict"] == "problem"
    assert "free some space" in found["machine", "disk"]["fix"]
    again = verdicts(cli, "machine", "round-trip")
    assert again["machine", "disk"]["verdict"] == again["round-trip", "round trip"]["verdict"] == "ok"


def test_a_store_that_another_process_holds_is_found(cli: Cli, tmp_path: Path) -> None:
    """It is told how long was waited; once the lock is gone all is well."""
    configure(tmp_path, f"{LIGHT}busy_timeout = 0.1\n")
    make_store(tmp_path / ".ctxkit", memory(1))
    with (tmp_path / ".ctxkit" / ".ctxkit.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        held = verdicts(cli, "store")["store", "store"]
    assert held["verdict"] == "problem"
    assert "another process held" in held["found"]
    assert verdicts(cli, "store")["store", "records"]["verdict"] == "ok"


def test_a_damaged_database_is_found_and_a_copy_mends_it(cli: Cli, tmp_path: Path) -> None:
    """The fix names the copy that `ctxkit backup` makes."""
    configure(tmp_path, LIGHT)
    folder = make_store(tmp_path / ".ctxkit", *(memory(number) for number in range(50)))
    assert cli("backup", "copy").code == 0
    content = bytearray((folder / "store.db").read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    (folder / "store.db").write_bytes(content)
    found = verdicts(cli, "store")["store", "store"]
    assert (found["verdict"], "from a copy" in found["fix"]) == ("problem", True)
    shutil.rmtree(tmp_path / ".ctxkit")
    shutil.copytree(tmp_path / "copy", tmp_path / ".ctxkit")
    assert verdicts(cli, "store")["store", "records"]["verdict"] == "ok"


def test_a_damaged_text_index_is_told_and_made_anew(cli: Cli, tmp_path: Path) -> None:
    """What can be made anew from the records is, when the store is opened; the next run finds nothing."""
    configure(tmp_path, LIGHT)
    folder = make_store(tmp_path / ".ctxkit", memory(1), memory(2))
    connection = sqlite3.connect(folder / "store.db")
    with connection:
        connection.execute("DELETE FROM words_docsize")
    connection.close()
    found = verdicts(cli, "store")["store", "index"]
    assert (found["verdict"], "text index was damaged" in found["found"]) == ("warning", True)
    assert {each["verdict"] for each in verdicts(cli, "store").values()} == {"ok", "not checked"}


def test_a_damaged_snapshot_is_told_and_made_anew(cli: Cli, tmp_path: Path) -> None:
    """Its checksum is looked at before the library sees it; the records make another, which the next run finds."""
    configure(
        tmp_path,
        '[embedder]\nprovider = "static"\n[vector_store]\nprovider = "faiss"\nindex_type = "HNSW"\nexact_below = 0\n'
        'index_build = "inline"\n',
    )
    (tmp_path / "note.md").write_text("# Boats\n\nThe dinghy is moored at the old pier.\n")
    assert cli("ingest", "note.md").code == 0
    (segment,) = collection_directory(tmp_path / ".ctxkit", COLLECTION).glob("segments/*/index.bin")
    content = bytearray(segment.read_bytes())
    content[20] ^= 0xFF
    segment.write_bytes(content)
    found = verdicts(cli, "store")
    assert found["store", "index"]["verdict"] == "warning"
    assert "does not match its checksum" in found["store", "index"]["found"]
    assert {each["verdict"] for each in verdicts(cli, "store").values()} == {"ok"}


def test_a_store_of_another_embedder_is_found_and_reembedded(cli: Cli, tmp_path: Path) -> None:
    """The dimension, or only the fingerprint, tells; the command that is named makes the vectors anew."""
    configure(tmp_path, '[embedder]\nprovider = "static"\n[vector_store]\nprovider = "exact"\n')
    make_store(tmp_path / ".ctxkit", memory(1), fingerprint="another-model-384")
    found = verdicts(cli, "store")["store", "embedder"]
    assert (found["verdict"], "made by another-model-384" in found["found"]) == ("problem", True)
    command = found["fix"].split("`")[1]
    assert cli(*command.split()[1:]).code == 0
    assert verdicts(cli, "store")["store", "embedder"]["verdict"] == "ok"
    smaller = ("--set", "embedder.dimension=128")
    found = verdicts(cli, "store", options=smaller)["store", "embedder"]
    assert (found["verdict"], "384 dimensions; configured is static" in found["found"]) == ("problem", True)


def test_what_waits_for_a_vector_is_counted_and_embedded(cli: Cli, tmp_path: Path) -> None:
    """An embedder that was down leaves records behind; --fix embeds them."""
    configure(tmp_path, '[embedder]\nprovider = "static"\n[vector_store]\nprovider = "exact"\n')
    make_store(tmp_path / ".ctxkit", memory(1, **{PENDING: True}))
    found = verdicts(cli, "store")
    assert found["store", "embedder"]["found"] == "no model has made vectors yet"
    assert found["store", "embeddings"]["verdict"] == "warning"
    assert found["store", "embeddings"]["found"].endswith("until then: 1")
    mended = verdicts(cli, "store", options=("--fix",))
    assert mended["store", "embeddings"]["verdict"] == "ok"
    assert mended["store", "records"]["found"].startswith("1 in all, 1 with a vector")


def test_the_network_is_not_used_unasked(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What needs it is not checked, and says with which option it would be."""
    configure(tmp_path, '[llm]\nprovider = "openai"\n[embedder]\nprovider = "openai"\n')
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    found = verdicts(cli, "provider", "round-trip")
    assert {found["provider", name]["verdict"] for name in ("llm", "embedder")} == {"not checked"}
    assert found["round-trip", "embedder"]["fix"] == "add --online."
    assert found["round-trip", "round trip"]["verdict"] == "ok"
    asked = verdicts(cli, "provider", options=("--online",))
    assert {each["verdict"] for each in asked.values()} == {"problem"}
    assert "connection" in asked["provider", "llm"]["found"]


def test_a_provider_is_asked_when_that_is_allowed(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One question tells whether it is there, takes the key and knows the model; what it refuses is a problem."""
    configure(tmp_path, f'[llm]\nprovider = "openai"\n{LIGHT}')
    monkeypatch.setenv("OPENAI_API_KEY", OPENAI_KEY)
    with FaultServer() as server:
        scenario = server.scenario(step("authentication"))
        monkeypatch.setenv("OPENAI_BASE_URL", scenario.url("openai"))
        refused = verdicts(cli, "provider", options=("--online",))["provider", "llm"]
        answered = verdicts(cli, "provider", options=("--online",))["provider", "llm"]
        assert len(scenario.requests) == 2
    assert (refused["verdict"], "authentication" in refused["found"]) == ("problem", True)
    assert (answered["verdict"], answered["found"].startswith("openai answered with ")) == ("ok", True)


def test_a_store_that_the_machine_cannot_hold_is_found(cli: Cli, tmp_path: Path) -> None:
    """Less memory than the store has is a warning, less room than it has a problem."""
    configure(tmp_path, LIGHT)
    folder = make_store(tmp_path / ".ctxkit", memory(1))
    assert {each["verdict"] for each in verdicts(cli, "machine").values()} == {"ok"}
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 43)  # of holes: it takes no room itself
    found = verdicts(cli, "machine")
    assert (found["machine", "memory"]["verdict"], found["machine", "disk"]["verdict"]) == ("warning", "problem")


def test_the_worker_prints_nothing_of_its_own(tmp_path: Path) -> None:
    """Its output is read by a program, whatever a plugin prints."""
    (tmp_path / "acme.py").write_text("print('hello from a plugin')\n")
    subject = '{"store": "", "default_store": "s", "assignments": [], "plugins": ["acme.py"]}'
    done = subprocess.run(
        [sys.executable, "-m", "ctxkit.doctor.worker", subject, "installation"],
        cwd=tmp_path, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert all(line.startswith("{") for line in done.stdout.splitlines())
    assert "hello from a plugin" in done.stderr
