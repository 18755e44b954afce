"""Configuration as people keep it: files, the environment and options, and what is said of a wrong value."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from ctxkit import Config, ContextManager
from ctxkit.config import files
from ctxkit.config.layers import read_layers
from ctxkit.config.repairing import mend, mended
from ctxkit.errors import ConfigError


@pytest.fixture(name="folder")
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder that is the home of nobody."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CTXKIT_CONFIG", raising=False)
    return tmp_path


def write(folder: Path, text: str, name: str = "ctxkit.toml") -> Path:
    """Write a configuration file."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_arguments_before_environment_before_file_before_defaults(folder: Path) -> None:
    """One order, and each value knows where it comes from."""
    write(folder, "[memory]\nstm_capacity = 1000\nchunk_size = 100\nrecent_k = 1\n")
    environ = {"CTXKIT_MEMORY__STM_CAPACITY": "2000", "CTXKIT_MEMORY__CHUNK_SIZE": "200"}
    layers = read_layers(environ=environ, assignments=["memory.stm_capacity=3000"])
    memory = layers.config().memory
    assert (memory.stm_capacity, memory.chunk_size, memory.recent_k, memory.ltm_hits_k) == (3000, 200, 1, 7)
    origins = [
        str(layers.origin(("memory", name))) for name in ("stm_capacity", "chunk_size", "recent_k", "ltm_hits_k")
    ]
    assert origins == ["--set", "CTXKIT_MEMORY__CHUNK_SIZE", "ctxkit.toml, line 4", "default"]


def test_only_what_was_given_counts_as_set(folder: Path) -> None:
    """A default that nobody wrote may fall back, and a dimension that nobody wrote follows the embedder."""
    write(folder, '[vector_store]\nindex_type = "HNSW"\n')
    assert Config.load().vector_store.model_fields_set == {"index_type"}
    assert Config.load("/dev/null") == Config()


def test_the_nearest_file_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project's file holds below it; a nearer one hides it, and ctxkit.toml hides pyproject.toml."""
    write(folder, "[tool.ctxkit.memory]\nrecent_k = 1\n", "pyproject.toml")
    below = folder / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert Config.load().memory.recent_k == 1
    write(folder / "a", '[project]\nname = "other"\n', "pyproject.toml")
    assert Config.load().memory.recent_k == 1
    write(folder, "[memory]\nrecent_k = 2\n")
    assert Config.load().memory.recent_k == 2
    write(below, "[memory]\nrecent_k = 3\n")
    assert Config.load().memory.recent_k == 3


@pytest.mark.parametrize("marker", [".git", ".hg"])
def test_the_search_ends_with_the_repository(folder: Path, monkeypatch: pytest.MonkeyPatch, marker: str) -> None:
    """What lies above a project is not the project's."""
    write(folder, "[memory]\nrecent_k = 2\n")
    below = folder / "repository" / "src"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert Config.load().memory.recent_k == 2
    (below.parent / marker).mkdir()
    assert Config.load().memory.recent_k == 5


def test_the_search_ends_at_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home directory's own file counts, what is above it does not."""
    write(folder, "[memory]\nrecent_k = 2\n")
    home = folder / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    assert Config.load().memory.recent_k == 2
    monkeypatch.setenv("HOME", str(home))
    assert Config.load().memory.recent_k == 5


def test_a_file_of_another_user_is_read_only_when_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder that everybody writes to, somebody else's file must not choose where prompts go."""
    path = write(folder, "[memory]\nrecent_k = 2\n")
    (folder / "mine").mkdir()
    monkeypatch.chdir(folder / "mine")
    assert Config.load().memory.recent_k == 2
    monkeypatch.setattr(files, "_owner", lambda each: 12_345 if each == path else os.geteuid())
    with pytest.raises(ConfigError, match=r"ctxkit\.toml belongs to another user.*--config"):
        Config.load()
    assert Config.load(path).memory.recent_k == 2


def test_a_file_may_be_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument comes before CTXKIT_CONFIG, which comes before the search."""
    write(folder, "[memory]\nrecent_k = 1\n")
    other = write(folder, "[memory]\nrecent_k = 2\n", "other.toml")
    third = write(folder, "[memory]\nrecent_k = 3\n", "third.toml")
    monkeypatch.setenv("CTXKIT_CONFIG", str(other))
    assert Config.load().memory.recent_k == 2
    assert Config.load(third).memory.recent_k == 3


def test_the_store_of_a_file_lies_where_the_file_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is seen from the file, wherever below it one works."""
    write(folder, 'store = "data"\n')
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    assert read_layers().store == folder / "data"
    write(folder, "store = 5\n")
    with pytest.raises(ConfigError, match="line 1: store must be the path of a folder"):
        _ = read_layers().store
    with pytest.raises(ConfigError, match="line 1: store must be the path of a folder"):
        Config.load()
    with pytest.raises(ConfigError, match="takes no store"):
        read_layers(assignments=["store=here"])


def test_a_program_uses_the_store_that_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An argument before the variable, that before the file; one that says nothing keeps its memory in the process."""
    monkeypatch.delenv("CTXKIT_STORE", raising=False)
    file = write(folder, 'store = "named"\n[embedder]\nprovider = "none"\n[vector_store]\nprovider = "exact"\n')

    def place(path: str | None = None) -> Path | None:
        with ContextManager(Config.load(), path=path) as cm:
            return cm.path

    assert place() == folder / "named"
    assert (folder / "named").is_dir()
    assert place("argument") == Path("argument")
    monkeypatch.setenv("CTXKIT_STORE", "variable")
    assert place() == Path("variable")
    monkeypatch.setenv("CTXKIT_STORE", "")
    file.write_text(file.read_text() + 'path = "other"\n')
    with pytest.raises(ConfigError, match=r"there is a store in the configuration and a vector_store\.path"):
        place()
    file.write_text("")
    assert Config.load().store is None


def test_a_variable_that_sets_nothing_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """One underscore, or a letter too many; what may be a plugin's own, and what is empty, is left alone."""
    meant = {"CTXKIT_MEMORY_RECENT_K": "CTXKIT_MEMORY__RECENT_K", "CTXKIT_STORES": "CTXKIT_STORE"}
    sound = (
        "CTXKIT_STORE",
        "CTXKIT_CONFIG",
        "CTXKIT_DEBUG",
        "CTXKIT_MEMORY__RECENT_K",
        "CTXKIT_PLUGINS",
        "CTXKIT_ACME",
    )
    read_layers("/dev/null", environ={**dict.fromkeys((*meant, *sound), "1"), "CTXKIT_MEMORY_CHUNK_SIZE": " "})
    told = [f"the variable {name} sets nothing; did you mean {one}?" for name, one in meant.items()]
    assert [record.message for record in caplog.records] == told


def test_values_of_the_environment_are_converted(folder: Path) -> None:
    """Numbers, truth values and lists are written as text there; an empty variable is none."""
    assert folder.is_dir()
    environ = {
        "CTXKIT_DEBUG": "true",
        "CTXKIT_LOG_LEVEL": "ERROR",
        "CTXKIT_LLM__TEMPERATURE": "0.5",
        "CTXKIT_RETRIEVAL__NEIGHBOR_WEIGHTS": "[0.5, 1]",
        "CTXKIT_MEMORY__RECENT_K": "",
        "CTXKIT_STORE": "elsewhere",
        "CTXKIT_LLM__API_KEY": "of-the-environment",
        "CTXKIT_LLM__MODEL": "4",
        "CTXKIT_EMBEDDER__DIMENSION": "128",
    }
    config = read_layers(environ=environ).config()
    assert (config.debug, config.log_level, config.llm.temperature) == (True, "ERROR", 0.5)
    assert (config.retrieval.neighbor_weights, config.memory.recent_k) == ((0.5, 1.0), 5)
    assert (config.llm.model, config.embedder.options()) == ("4", {"dimension": 128})
    assert config.llm.api_key is not None
    assert config.llm.api_key.get_secret_value() == "of-the-environment"


WRONG = '''\
# of a person
limits = 3

[memory]
stm_capacity = -5      # kept
stm_capacty = 100
summaries = """
never"""

[retrieval]
stages = [
    "fused",
    "nope",
]

[memroy]
recent_k = 1
'''


def test_every_wrong_value_is_named_with_its_line(folder: Path) -> None:
    """One look is enough: all problems, each with place, limit and what to do."""
    write(folder, WRONG)
    layers = read_layers(environ={"CTXKIT_MEMORY__RECENT_K": "0"}, assignments=["memory.nonsense=x"])
    config, found = layers.checked
    stages = ", ".join(Config().retrieval.stages)
    assert [str(each) for each in found] == [
        "--set: memory.nonsense: there is no such option",
        "CTXKIT_MEMORY__RECENT_K: memory.recent_k must be at least 1 (is 0)",
        "ctxkit.toml, line 2: limits: there is no such option",
        "ctxkit.toml, line 5: memory.stm_capacity must be at least 1 (is -5)",
        "ctxkit.toml, line 6: memory.stm_capacty: there is no such option",
        "ctxkit.toml, line 7: memory.summaries must be 'background', 'inline' or 'off'",
        f"ctxkit.toml, line 11: retrieval.stages: there is no stage nope; known are {stages}, or module:function",
        "ctxkit.toml, line 16: memroy: there is no such option",
    ]
    assert [each.fix for each in found][4] == "did you mean memory.stm_capacity?"
    assert [each.fix for each in found][7] == "did you mean memory?"
    assert config == Config()
    with pytest.raises(ConfigError, match=r"--set: .*RECENT_K: .*; and 6 more\. Fix: `ctxkit config check"):
        layers.config()


def test_one_wrong_value_says_what_to_do_at_once(folder: Path) -> None:
    """The message of the common case is whole in itself."""
    write(folder, "[memory]\n\nstm_capacity = -5\n")
    with pytest.raises(ConfigError) as caught:
        Config.load()
    assert str(caught.value) == (
        "ctxkit.toml, line 3: memory.stm_capacity must be at least 1 (is -5)."
        " Fix: set it to 8000, which is the default, or to what fits."
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[memory\n", r"ctxkit\.toml, line 1: "),
        ("[memory]\nrecent_k = \n", r"ctxkit\.toml, line 2: "),
        ("debug = true\ndebug = false\n", r"ctxkit\.toml, line 2: .*debug.* already exists\. Fix"),
        ("memory = 5\n", r"ctxkit\.toml, line 1: memory must be a table of options \(is 5\)"),
        ("stm_capacity = 5\n", r"line 1: stm_capacity: there is no such option\. Fix: write it below \[memory\]"),
        ("debug = 'perhaps'\n", r"line 1: debug must be true or false"),
        ("[llm]\nprovider = ''\n", r"line 2: llm\.provider must not be empty"),
        ("[memory]\nrecent_k = 1.5\n", r"line 2: memory\.recent_k must be a whole number \(is 1\.5\)"),
    ],
)
def test_what_cannot_be_read_or_is_no_value_is_told_with_its_line(folder: Path, text: str, message: str) -> None:
    """A slip of the pen costs one look at the line that is named."""
    write(folder, text)
    with pytest.raises(ConfigError, match=message):
        Config.load()


def test_files_that_cannot_be_read_are_named(folder: Path) -> None:
    """Missing, a folder, not UTF-8, or a table that is none."""
    with pytest.raises(ConfigError, match=r"none\.toml cannot be read: No such file"):
        Config.load(folder / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        Config.load(folder)
    (folder / "ctxkit.toml").write_bytes(b"# \xff\n")
    with pytest.raises(ConfigError, match="is not UTF-8"):
        Config.load()
    with pytest.raises(ConfigError, match=r"tool\.ctxkit must be a table"):
        Config.load(write(folder, "[tool]\nctxkit = 5\n", "pyproject.toml"))


@pytest.mark.parametrize("option", ["memory.recent_k", "=3", "memory.=3"])
def test_an_assignment_that_is_none_is_refused(folder: Path, option: str) -> None:
    """What was typed is not repeated, it may have been a key."""
    assert folder.is_dir()
    with pytest.raises(ConfigError, match="--set takes an option and a value") as caught:
        read_layers(assignments=[option])
    assert "3" not in caught.value.message


KEY = "sk-ant-" + "0123456789" * 3


@pytest.mark.parametrize(
    "text",
    [
        f'[llm]\napi_key = "{KEY}"\n',
        '[llm]\napi_key = "hunter2"\n',
        f'[llm]\nmodel = "{KEY}"\n',
        '[embedder]\nprovider = "openai"\napi_key = "hunter2"\n',
        '[vector_store]\nheader_token = "hunter2"\n',
        '[vector_store]\nheaders = [{ token = "hunter2" }]\n',
        f'[keys]\nanthropic = "{KEY}"\n',
    ],
)
def test_a_key_in_a_file_is_refused_and_not_shown(folder: Path, text: str) -> None:
    """Files are copied and committed; the message says where a key belongs instead."""
    write(folder, text)
    with pytest.raises(ConfigError, match=r"holds a key.*Fix: take it out and set CTXKIT_") as caught:
        Config.load()
    assert KEY not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_key_on_the_command_line_is_refused(folder: Path) -> None:
    """Everybody on the machine can list it, and the shell remembers it."""
    assert folder.is_dir()
    with pytest.raises(ConfigError, match=r"--set: llm\.api_key holds a key"):
        read_layers(assignments=["llm.api_key=hunter2"]).config()


def test_the_place_of_a_key_is_no_key(folder: Path) -> None:
    """`key_file` and long names are options like others."""
    write(folder, '[llm]\nkey_file = "~/.keys/openai"\nmodel = "gpt-4-but-with-a-very-long-name"\nmax_tokens = 5\n')
    assert Config.load().llm.options() == {"key_file": "~/.keys/openai"}


def test_mending_changes_what_is_wrong_and_nothing_else(folder: Path) -> None:
    """Comments, blank lines and good values stay as they were written; what had no meaning becomes a comment."""
    path = write(folder, WRONG)
    path.chmod(0o640)
    layers = read_layers()
    assert layers.file is not None
    backup = mend(layers.file, [each.repair for each in layers.checked[1] if each.repair is not None])
    assert backup.read_text() == WRONG
    assert (backup.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o600, 0o640)
    assert path.read_text() == (
        "# of a person\n# limits = 3\n\n[memory]\nstm_capacity = 8000      # kept\nstm_capacity = 100\n"
    ).replace("stm_capacity = 100", "# stm_capacty = 100") + (
        'summaries = "background"\n\n[retrieval]\nstages = ["fused", "neighbor", "asking", "speaker", "date",'
        ' "recency", "importance"]\n\n# [memroy]\n# recent_k = 1\n'
    )
    assert Config.load() == Config()
    assert sorted(each.name for each in folder.iterdir()) == ["ctxkit.toml", "ctxkit.toml.bak"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[memory]\nrecnt_k = 3 # three\n", "[memory]\nrecent_k = 3 # three\n"),
        ("[memroy]\nrecent_k = 3\n", "[memory]\nrecent_k = 3\n"),
        ("memroy.recent_k = 3\n", "memory.recent_k = 3\n"),
        ("memory = { recnt_k = 3 }\n", "memory = {recent_k = 3}\n"),
        ("memory = { recent_k = 0, chunk_size = 9 }\n", "memory = { recent_k = 5, chunk_size = 9 }\n"),
        ('[llm]\napi_key = """\nhunter2"""\nmodel = "m"\n', '[llm]\nmodel = "m"\n'),
        ('llm = { model = "m", api_key = "hunter2" }\n', 'llm = { model = "m" }\n'),
    ],
)
def test_each_way_to_write_an_option_is_mended_where_it_stands(folder: Path, before: str, after: str) -> None:
    """Sections, dotted names and inline tables, in a file of our own and in pyproject.toml."""
    write(folder, before)
    layers = read_layers()
    assert layers.file is not None
    text = mended(layers.file, [each.repair for each in layers.checked[1] if each.repair is not None])
    assert text.replace(" ", "") == after.replace(" ", "")


def test_the_project_file_is_mended_in_our_table_only(folder: Path) -> None:
    """Another tool's option of the same name is not ours."""
    text = "[memory]\nrecnt_k = 1\n\n[tool.ctxkit.memory]\nrecnt_k = 2\n"
    write(folder, text, "pyproject.toml")
    layers = read_layers()
    assert layers.file is not None
    repairs = [each.repair for each in layers.checked[1] if each.repair is not None]
    assert [str(each.origin) for each in layers.checked[1]] == ["pyproject.toml, line 5"]
    assert mended(layers.file, repairs) == text.replace("recnt_k = 2", "recent_k = 2")


def test_no_room_leaves_the_file_as_it_was(folder: Path) -> None:
    """Neither half a file nor half a copy stays behind."""
    path = write(folder, "[memory]\nrecent_k = 0\n")
    layers = read_layers()
    assert layers.file is not None
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    try:
        with pytest.raises(ConfigError, match="cannot be written: File too large"):
            mend(layers.file, [])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_text() == "[memory]\nrecent_k = 0\n"
    assert [each.name for each in folder.iterdir()] == ["ctxkit.toml"]


def test_a_link_stays_a_link(folder: Path) -> None:
    """People keep their files in one place and link to them."""
    target = write(folder / "kept", "[memory]\nrecent_k = 0\n")
    (folder / "ctxkit.toml").symlink_to(target)
    layers = read_layers()
    assert layers.file is not None
    mend(layers.file, [each.repair for each in layers.checked[1] if each.repair is not None])
    assert (folder / "ctxkit.toml").is_symlink()
    assert target.read_text() == "[memory]\nrecent_k = 5\n"


def test_a_file_that_changed_meanwhile_is_left_alone(folder: Path) -> None:
    """What somebody saved a moment ago is not overwritten."""
    path = write(folder, "[memory]\nrecent_k = 0\n")
    layers = read_layers()
    assert layers.file is not None
    path.write_text("[memory]\nrecent_k = 7\n")
    with pytest.raises(ConfigError, match="has changed meanwhile"):
        mend(layers.file, [])
    assert path.read_text() == "[memory]\nrecent_k = 7\n"
    assert [each.name for each in folder.iterdir()] == ["ctxkit.toml"]
