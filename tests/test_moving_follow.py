"""Moving a collection that is in use: what is written meanwhile comes over, then the configuration names the target."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from moving_support import COLLECTION, contents, fill, place, plain, spec_of

from ctxkit.errors import ConfigError, StoreLockedError
from ctxkit.memory.lease import Lease
from ctxkit.memory.opening import COLLECTION as MEMORY
from ctxkit.moving import Handover, Order, StorePlace, migrate, stopped, switched, switching
from ctxkit.moving.moves import journal_file
from ctxkit.records import Record

SETTINGS = """# what the application reads
store = "old"  # its folder

[vector_store]
provider = "faiss"
metric = "cosine"
busy_timeout = 5.0

[memory]
recent_k = 3
"""


class Writing:
    """A progress beside which the source is written to: added, changed, deleted, so many times."""

    def __init__(self, source: StorePlace, times: int, phases: tuple[str, ...] = ("copy",)) -> None:
        self.source = source
        self.left = times
        self.phases = phases

    def __call__(self, phase: str, _done: int, _total: int) -> None:
        """Write once for each call, as long as there are times left."""
        if phase in self.phases and self.left:
            self.left -= 1
            with self.source.open(spec_of()) as store:
                store.upsert([*plain(2, start=5000 + self.left * 2), Record("p00001", f"{self.left}", np.ones(8))])
                store.delete([f"p{10 + self.left:05d}"])


@pytest.fixture(name="settings")
def _settings(tmp_path: Path) -> Path:
    """Return a configuration file that names the source."""
    file = tmp_path / "ctxkit.toml"
    file.write_text(SETTINGS)
    return file


def handover(source: StorePlace, target: StorePlace, file: Path, command: str | None = None) -> Handover:
    """Return how the command line ends a move that follows."""
    return Handover(lambda: stopped(source, command), lambda: switched(file, source, target))


@pytest.mark.parametrize("name", ["exact", "chroma"])
def test_what_is_written_meanwhile_comes_over(name: str, tmp_path: Path, settings: Path) -> None:
    """Added, changed and deleted records; then the file names the target, all else in it is as it was."""
    source, target = place("faiss", tmp_path / "old"), place(name, tmp_path / "new")
    fill(source, plain(700))
    report = migrate(
        source,
        target,
        Order(COLLECTION, progress=Writing(source, 3)),
        handover=handover(source, target, settings),
    )
    assert contents(target) == contents(source)
    assert (report.deleted, report.switched, len(report.notes) > 0) == (3, str(settings), name == "chroma")
    text = settings.read_text()
    assert f'store = "{tmp_path / "new"}"' in text
    assert f'provider = "{name}"' in text
    assert "# what the application reads" in text
    assert "recent_k = 3" in text
    assert "busy_timeout" not in text
    assert (tmp_path / "ctxkit.toml.bak").read_text() == SETTINGS
    assert not journal_file(target, COLLECTION).exists()


def test_writers_that_do_not_stop_are_not_switched_away_from(tmp_path: Path, settings: Path) -> None:
    """After some tries the move ends with an error; the same command goes on once they have stopped."""
    source, target = place("faiss", tmp_path / "old"), place("exact", tmp_path / "new")
    fill(source, plain(30))
    restless = Order(COLLECTION, progress=Writing(source, 10_000, ("verify",)))
    with pytest.raises(StoreLockedError, match="written to during the move"):
        migrate(source, target, restless, handover=handover(source, target, settings))
    assert settings.read_text() == SETTINGS
    report = migrate(source, target, Order(COLLECTION), handover=handover(source, target, settings))
    assert (report.runs, report.switched) == (2, str(settings))
    assert contents(target) == contents(source)


def test_a_command_stops_the_writers_before_the_last_pass(tmp_path: Path, settings: Path) -> None:
    """It runs once little is left to copy, no shell reads it, and when it fails nothing is switched."""
    source, target = place("faiss", tmp_path / "old"), place("exact", tmp_path / "new")
    fill(source, plain(30))
    mark = tmp_path / "it's; stopped"
    for broken in ("false", "no-such-command-anywhere", "'unclosed"):
        with pytest.raises(ConfigError, match="nothing was switched"):
            migrate(source, target, Order(COLLECTION), handover=handover(source, target, settings, broken))
    assert settings.read_text() == SETTINGS
    code = f'{sys.executable} -c "import sys, pathlib; pathlib.Path(sys.argv[1]).touch()" "{mark}"'
    migrate(source, target, Order(COLLECTION), handover=handover(source, target, settings, code))
    assert mark.exists()
    assert settings.read_text() != SETTINGS


def test_memorys_own_writers_wait_for_the_switch(tmp_path: Path, settings: Path) -> None:
    """Whoever wants to observe a turn in the source waits until the last pass and the switch are done."""
    source, target = place("faiss", tmp_path / "old"), place("exact", tmp_path / "new")
    fill(source, plain(5))
    lease = Lease("writing", tmp_path / "old")
    seen: list[bool] = []

    def switch() -> Path:
        with lease.held() as mine:
            seen.append(mine)
        return switched(settings, source, target)

    migrate(source, target, Order(COLLECTION), handover=Handover(lambda: stopped(source, None), switch))
    with lease.held() as mine:
        seen.append(mine)
    assert seen == [False, True]


@pytest.mark.parametrize("name", ["faiss", "pgvector"])
def test_a_writer_that_hangs_is_not_switched_away_from(
    name: str, tmp_path: Path, settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Suspended amid a write it would finish it in the source, after the switch; once it is gone the move goes on."""
    monkeypatch.setattr(switching, "LEASE_PATIENCE", 0.05)
    source, target = place(name, tmp_path / "old"), place("exact", tmp_path / "new")
    fill(source, plain(5), spec_of(name=MEMORY))
    order = Order(MEMORY)
    with source.open(source.existing(MEMORY)) as store, Lease("writing", source.folder, store).held() as mine:
        assert mine
        with pytest.raises(StoreLockedError, match="did not let go of it"):
            migrate(source, target, order, handover=handover(source, target, settings, f"touch '{tmp_path}/stopped'"))
    assert (tmp_path / "stopped").exists()  # the command had its chance to end that writer
    assert settings.read_text() == SETTINGS
    report = migrate(source, target, order, handover=handover(source, target, settings))
    assert (report.runs, report.switched) == (2, str(settings))


def test_a_move_cut_short_at_the_switch_only_switches(tmp_path: Path, settings: Path) -> None:
    """By then the application may write to the target already: nothing of it is deleted or replaced."""
    source, target = place("faiss", tmp_path / "old"), place("exact", tmp_path / "new")
    fill(source, plain(30))

    def cut_short() -> Path:
        switched(settings, source, target)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        migrate(source, target, Order(COLLECTION), handover=Handover(switch=cut_short))
    fill(target, plain(1, start=700))
    with pytest.raises(ConfigError, match="cut short while it switched"):
        migrate(source, target, Order(COLLECTION))
    report = migrate(source, target, Order(COLLECTION), handover=handover(source, target, settings))
    assert "p00700" in contents(target)
    assert (report.written, report.switched, len(report.notes)) == (0, str(settings), 1)
    assert not journal_file(target, COLLECTION).exists()
    assert not (tmp_path / "ctxkit.toml.bak1").exists()  # the file said so already


def test_a_write_after_the_last_pass_is_told(tmp_path: Path) -> None:
    """Whoever writes to the source after the switch is beyond what a copy can promise, so it is said."""
    source, target = place("faiss", tmp_path / "old"), place("exact", tmp_path / "new")
    fill(source, plain(30))
    late: Callable[[], None] = lambda: fill(source, plain(1, start=800))  # noqa: E731 - a switch in one line
    report = migrate(source, target, Order(COLLECTION), handover=Handover(switch=late))
    assert report.notes == [
        "The source was written to after the last pass; what was written then is not in the target."
    ]


def test_a_switch_needs_a_file_and_writes_no_secret(tmp_path: Path, settings: Path) -> None:
    """A missing file is an error; a token on the command line does not end in a file, and the old folder goes."""
    source = place("faiss", tmp_path / "old")
    target = StorePlace("chroma", {"host": "localhost", "token": "s3cret", "port": "8001"}, source.registry)
    with pytest.raises(ConfigError, match="cannot be read"):
        switched(tmp_path / "missing.toml", source, target)
    switched(settings, source, target)
    text = settings.read_text()
    assert "s3cret" not in text
    assert "store =" not in text
    assert 'host = "localhost"' in text
    assert "port = 8001" in text
