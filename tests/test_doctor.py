"""`ctxkit doctor`: its command line and processes, and faults of installations and configurations, planted for real."""

from __future__ import annotations

import importlib
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest
from cli_support import Cli
from doctor_support import (
    ANTHROPIC_KEY,
    LIGHT,
    configure,
    install,
    is_content,
    make_doctor,
    make_store,
    memory,
    mend,
    verdicts,
)

from ctxkit.cli.doctor_command import doctor
from ctxkit.doctor import running
from ctxkit.doctor.checks import CHECKS, Check
from ctxkit.doctor.subject import Subject
from ctxkit.plugins.known import install_line

IN_A_PROCESS = running.examine
DISABLED = re.compile(r"(CTXKIT_DISABLE_PLUGINS)=([\w-]+)")


@pytest.fixture(name="cli")
def _cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run command lines in an empty folder, the doctor's checks in this process."""
    return make_doctor(tmp_path, monkeypatch, capsys)


@pytest.fixture(name="apart")
def _apart(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Run command lines as users do: their checks are made in a process of its own."""
    monkeypatch.setattr(running, "examine", IN_A_PROCESS)
    return cli


def plugin(hint: str, extra: str = "") -> str:
    """Return the module of a plugin with a store that needs a library, and the command that installs it."""
    return (
        "from ctxkit.hookspecs import hookimpl\nfrom ctxkit.interfaces import BackendSpec\n"
        "from ctxkit.local.capabilities import local_capabilities\n"
        "@hookimpl\ndef ctxkit_vector_stores():\n"
        "    return [BackendSpec(name='acme', factory='ctxkit.defaults.exact:ExactStore',\n"
        "        config='ctxkit.local.config:LocalConfig', capabilities=local_capabilities(durable=True),\n"
        f"        summary='an example', requires=('acme_native',), install_hint={hint!r})]\n{extra}"
    )


def test_a_healthy_installation_is_told_to_be_healthy(
    apart: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every check is made, none finds a problem, and what is printed fits a terminal of 80 columns, without colours."""
    configure(tmp_path, LIGHT)
    make_store(tmp_path / ".ctxkit", memory(1))
    monkeypatch.setenv("COLUMNS", "80")
    outcome = apart("doctor")
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert [name for name in CHECKS if name not in lines] == []
    assert [line for line in lines if len(line) > 80 or "\x1b" in line] == []
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
    assert text.count("`ctxkit doctor --fix` does it.") == 6
    mended = cli("doctor", "--json", "--only", "configuration", "--fix").json["checks"][0]["results"]
    assert [each["verdict"] for each in mended] == ["ok", "ok"]
    assert mended[0]["found"].startswith("6 of 6 mended; what it was is kept in ")
    assert cli("doctor", "--only", "configuration", "--strict").code == 0
    assert path.read_text() == (
        "[memory]\nstm_capacity = 8000\nprompt_token_budget = 12000\nrecent_k = 4\n"
        '[vector_store]\nprovider = "exact"\ndimension = 384\n[embedder]\nprovider = "static"\n[llm]\n'
    )


def test_what_nobody_knows_a_value_for_becomes_a_comment(cli: Cli, tmp_path: Path) -> None:
    """So the default holds again, and what was written can be read."""
    path = configure(tmp_path, '[vector_store]\nprovider = "qdrant"\n')
    found = verdicts(cli, "configuration")["configuration", "file"]
    assert (found["verdict"], found["fix"].endswith("`ctxkit doctor --fix` makes it a comment.")) == ("problem", True)
    mend(cli, {"fix": "`ctxkit doctor --fix`"}, "--only", "configuration")
    assert path.read_text() == '[vector_store]\n# provider = "qdrant"\n'
    assert is_content(verdicts(cli, "configuration"))


def test_what_a_file_does_not_say_is_not_mended_in_it(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value of the environment stays the reader's to correct: no command is promised, and none changes the file."""
    path = configure(tmp_path, LIGHT)
    monkeypatch.setenv("CTXKIT_MEMORY__STM_CAPACITY", "-1")
    found = verdicts(cli, "configuration", options=("--fix",))["configuration", "environment"]
    assert found["verdict"] == "problem"
    assert "CTXKIT_MEMORY__STM_CAPACITY" in found["found"]
    assert "--fix" not in found["fix"]
    assert path.read_text() == LIGHT
    assert [file.name for file in tmp_path.iterdir()] == ["ctxkit.toml"]


def test_a_memory_that_would_find_nothing_is_found(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that searches no texts, as Chroma's server, beside no embedder: told before anything is stored."""
    text = '[vector_store]\nprovider = "chroma"\nhost = "localhost"\n[embedder]\nprovider = "{}"\n'
    path = configure(tmp_path, text.format("none"))
    found = verdicts(cli, "configuration")["configuration", "file"]
    assert found["verdict"] == "problem"
    assert "line 5: chroma as it is configured searches by vectors only" in found["found"]
    mend(cli, found, "--only", "configuration")
    assert path.read_text() == text.format("static")
    path.write_text(text.format("none"))
    assert ("models", "static") in verdicts(cli, "configuration", "models", options=("--fix",))  # as it is mended
    assert is_content(verdicts(cli, "configuration"))
    path.write_text(text.format("none").replace('host = "localhost"', 'path = "chroma"'))  # which searches texts
    assert is_content(verdicts(cli, "configuration"))
    path.write_text('[vector_store]\nprovider = "chroma"\nhost = "localhost"\n')
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "ctxkit-static")
    found = verdicts(cli, "configuration")["configuration", "default"]
    assert (found["verdict"], found["fix"]) == ("problem", f"{install_line('embedder', 'static')}, which makes them.")


def test_warnings_count_under_strict(cli: Cli, tmp_path: Path) -> None:
    """A pipeline chooses what stops it."""
    configure(tmp_path, "[memory]\nprompt_token_budget = 100\n")
    assert cli("doctor", "--only", "configuration").code == 0
    assert cli("doctor", "--only", "configuration", "--strict").code == 1
    told = cli("doctor", "--only", "configuration", "--only", "keys", "--json").json
    assert (told["verdict"], told["counts"]) == ("warning", {"ok": 2, "not checked": 0, "warning": 1, "problem": 0})


def test_a_file_that_cannot_be_read_stops_no_other_check(cli: Cli, tmp_path: Path) -> None:
    """The slip is told with its line, and the rest is examined with the defaults."""
    path = configure(tmp_path, "[memory\n")
    found = verdicts(cli, "configuration", "installation", "machine")
    assert found["configuration", "file"]["verdict"] == "problem"
    assert found["configuration", "file"]["found"].startswith("ctxkit.toml, line 1: ")
    assert found["installation", "ctxkit"]["verdict"] == found["machine", "disk"]["verdict"] == "ok"
    path.write_text("[memory]\n")
    assert verdicts(cli, "configuration")["configuration", "values"]["verdict"] == "ok"


def test_commands_that_are_printed_have_the_options_that_were_given(tmp_path: Path) -> None:
    """So they mend what was examined, and not what lies in the working directory; a secret is not repeated."""
    subject = Subject(
        store="my memory",
        default_store=".ctxkit",
        config_file="other.toml",
        assignments=(
            "memory.recent_k=3",
            "vector_store.token=s3cr3t",
            "vector_store.conninfo=user=u password=s3cr3t",
            'vector_store.headers={"Authorization": "Bearer s3cr3t"}',
            "s3cr3t",
        ),
        plugins=("acme.py",),
    )
    options = "--config other.toml --set memory.recent_k=3 -p acme.py"
    assert subject.command("doctor", "--fix") == f"`ctxkit doctor --fix {options} --store 'my memory'`"
    assert subject.command("reembed", "--from", "a") == f"`ctxkit reembed --from a {options}`"
    assert Subject(store="", default_store=str(tmp_path)).command("doctor") == "`ctxkit doctor`"


def test_a_missing_or_broken_library_is_a_problem_where_it_is_used(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The component is installed, what it needs is not, or fails to load: the line that installs it mends both."""
    site, wheels = tmp_path / "site", tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "acme_native.py").write_text("")
    install(site, "acme-vectors", plugin(f"cp {wheels}/acme_native.py {site}"), monkeypatch)
    unused = verdicts(cli, "installation")["installation", "acme"]
    assert (unused["verdict"], unused["found"].endswith(" Nothing that is configured uses it.")) == (
        "not checked",
        True,
    )
    configure(tmp_path, '[vector_store]\nprovider = "acme"\n')
    found = verdicts(cli, "installation", "imports", "store")
    assert ("installation", "acme") not in found
    assert found["installation", "vector store"]["verdict"] == "problem"
    assert found["store", "store"]["found"] == "the vector store acme is not installed"
    assert "'acme_native', which is not installed" in found["installation", "vector store"]["found"]
    (site / "acme_native.py").write_text("raise OSError('libacme.so: cannot open shared object file')\n")
    importlib.invalidate_caches()
    broken = verdicts(cli, "installation", "imports")
    assert broken["installation", "vector store"]["verdict"] == "ok"
    assert broken["imports", "acme"]["verdict"] == "problem"
    assert "libacme.so: cannot open shared object file" in broken["imports", "acme"]["found"]
    assert broken["imports", "acme"]["fix"] == f"{found['installation', 'vector store']['fix']} again."
    subprocess.run(shlex.split(found["installation", "vector store"]["fix"]), check=True)
    importlib.invalidate_caches()
    again = verdicts(cli, "installation", "imports")
    assert is_content(again)
    assert re.fullmatch(r".*, acme_native in \d+\.\d\d s", again["imports", "acme"]["found"])
    assert again["installation", "vector store"]["found"] == "acme, of acme-vectors 1.0"


def test_a_component_whose_class_is_not_there_is_a_problem(cli: Cli, tmp_path: Path) -> None:
    """Its plugin announces what it does not have."""
    (tmp_path / "acme.py").write_text(plugin("none").replace(":ExactStore", ":Nowhere").replace("'acme_native',", ""))
    configure(tmp_path, '[vector_store]\nprovider = "acme"\n')
    found = verdicts(cli, "imports", options=("-p", "acme.py"))["imports", "acme"]
    assert (found["verdict"], "Nowhere" in found["found"]) == ("problem", True)


def test_a_component_that_is_not_there_is_a_problem_where_it_was_named(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A default is stood in for, which is told too, with the variable that keeps it away."""
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "ctxkit-static,ctxkit-faiss")
    by_default = verdicts(cli, "installation", "imports")
    assert by_default["installation", "vector store"]["verdict"] == "warning"
    assert by_default["installation", "vector store"]["found"].endswith(" exact stands in.")
    assert by_default["installation", "embedder"]["found"].endswith(" Memories are found by their words only.")
    assert by_default["imports", "exact"]["verdict"] == "ok"
    configure(tmp_path, '[embedder]\nprovider = "static"\n')
    named = verdicts(cli, "installation")["installation", "embedder"]
    assert (named["verdict"], named["fix"]) == ("problem", "take it out of CTXKIT_DISABLE_PLUGINS.")
    monkeypatch.delenv("CTXKIT_DISABLE_PLUGINS")
    assert is_content(verdicts(cli, "installation"))


def test_a_broken_plugin_is_a_verdict(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its error and the variable that leaves it out are told, which helps; everything else is examined."""
    install(tmp_path / "site", "acme-broken", "raise RuntimeError('made on a Monday')\n", monkeypatch)
    monkeypatch.setenv("CTXKIT_STRICT_PLUGINS", "1")
    found = verdicts(cli, "installation", "keys")
    broken = found["installation", "acme-broken"]
    assert (broken["verdict"], "made on a Monday" in broken["found"]) == ("problem", True)
    assert found["installation", "vector store"]["verdict"] == found["keys", "OPENAI_API_KEY"]["verdict"] == "ok"
    monkeypatch.setenv(*DISABLED.findall(broken["fix"])[0])
    again = verdicts(cli, "installation")
    assert (again["installation", "acme-broken"]["verdict"], is_content(again)) == ("not checked", True)


def test_a_plugin_whose_commands_fail_is_a_warning(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its components work, so it is no problem."""
    commands = "@hookimpl\ndef ctxkit_commands():\n    raise RuntimeError('no commands today')\n"
    install(tmp_path / "site", "acme-half", plugin("none", commands), monkeypatch)
    found = verdicts(cli, "installation")["installation", "acme-half"]
    assert (found["verdict"], "no commands today" in found["found"]) == ("warning", True)


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
    named = apart(
        *found["machine", "machine"]["fix"].split("`")[1].replace("DISTRIBUTION", "acme-crashing").split()[1:]
    )
    assert (named.code, "SIGSEGV" in named.out + named.err) == (1, True)
    monkeypatch.setenv("CTXKIT_DISABLE_PLUGINS", "acme-crashing")
    (tmp_path / "where.py").write_text("import os\nraise RuntimeError('safe: ' + os.environ['PYTHONSAFEPATH'])\n")
    found = verdicts(apart, "installation", "machine", options=("-p", "where.py"))
    assert found["machine", "disk"]["verdict"] == "ok"
    assert "safe: 1" in found["installation", "plugin"]["found"]  # what lies in the working directory is not imported


def test_a_plugin_that_hangs_is_a_verdict_too(apart: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check has its time, and what takes longer is ended and told."""
    (tmp_path / "slow.py").write_text("import time\ntime.sleep(600)\n")
    monkeypatch.setattr(running, "_BEGINNING", 0.2)
    monkeypatch.setattr(running, "_DYING", 0.0)
    monkeypatch.setitem(cast("dict[str, Check]", CHECKS), "machine", Check("ctxkit.doctor.machine", "", patience=0.0))
    found = verdicts(apart, "machine", options=("-p", "slow.py"))["machine", "machine"]
    assert (found["verdict"], found["found"]) == ("problem", "it did not finish within 0 s")


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
    command = found["installation", "installation"]["fix"].split("`")[1]
    assert command == "ctxkit --debug doctor --only installation"
    quiet, loud = (cli(*line.split()[1:]).err for line in (command.replace("--debug ", ""), command))
    assert (quiet, "Traceback" in loud) == ("", True)


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
