"""A kill takes the process that uses the data first, and what holds the data after it."""

from __future__ import annotations

from pathlib import Path

from ctxkit_conformance.stores.trial import Trial, Victim

from ctxkit.defaults.exact import ExactConfig, ExactStore
from ctxkit.interfaces import CollectionSpec, DirectoryHarness


class Server(DirectoryHarness):
    """Notes whether its user was alive when it was killed itself."""

    def __init__(self) -> None:
        super().__init__(ExactConfig, {})
        self.victim: Victim | None = None
        self.found_alive: list[bool] = []

    def kill(self) -> None:
        """Die, and come back."""
        assert self.victim is not None
        self.found_alive.append(self.victim.child.alive)


def test_nothing_is_asked_of_a_server_that_came_back(tmp_path: Path) -> None:
    """A user that lived on would write to the new server while the state of the old one is examined."""
    server = Server()
    declared = ExactConfig(path=tmp_path).capabilities()
    noted: list[str] = []
    spec = CollectionSpec(name="c", dimension=3)
    trial = Trial(ExactStore, spec, server, tmp_path, declared, 60.0, noted.append)
    plan = trial.plan(0, 0, ["upsert"])
    server.victim = trial.victim(plan)
    with server.victim.child:
        server.victim.watch(3)
        trial.kill(server.victim)
    assert server.found_alive == [False]
    trial.examine(plan, server.victim)
    assert trial.acknowledged >= 2
    assert "steps were acknowledged" in noted[0]
