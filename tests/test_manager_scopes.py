"""Whose memories a manager sees, changes and deletes."""

from __future__ import annotations

from pathlib import Path

import pytest
from manager_support import manager

from ctxkit.errors import (
    ConfigError,
    InvalidRecordError,
)


def test_sessions_are_apart_and_switched(tmp_path: Path) -> None:
    """Short-term memory is one session's; the search stays inside it unless it may cross."""
    with manager(tmp_path / "store", session_id="monday") as cm:
        cm.observe("The spare key is under the fern.", "Ok.")
        cm.set_session("tuesday")
        assert cm.short_term_memory.turns == []
        assert cm.query_memory("spare key") == []
        cm.observe("The bin goes out today.", "Ok.")
        cm.set_session("monday")
        assert [turn.user_input for turn in cm.short_term_memory.turns] == ["The spare key is under the fern."]
        cm.set_session(None)
        assert cm.short_term_memory.turns == []
        assert len(cm.query_memory("spare key bin", k=9)) == 2
    with manager(tmp_path / "store", session_id="wednesday", allow_cross_session=True) as cm:
        assert cm.query_memory("spare key")[0][0].startswith("User: The spare key")
        assert cm.short_term_memory.turns == []


def test_users_and_agents_never_see_each_other(tmp_path: Path) -> None:
    """None is an owner of its own: nobody's records are everybody's."""
    for user, agent in ((None, None), ("ann", None), ("bob", None), ("ann", "coach")):
        with manager(tmp_path / "store", user_id=user, agent_id=agent) as cm:
            cm.add_memory(f"secret of {user} and {agent}")
    for user, agent in ((None, None), ("ann", None), ("bob", None), ("ann", "coach")):
        with manager(tmp_path / "store", user_id=user, agent_id=agent, allow_cross_session=True) as cm:
            assert [text for text, _ in cm.query_memory("secret", k=9)] == [f"secret of {user} and {agent}"]
            assert [entry.text for entry in cm.long_term_memory.entries] == [f"secret of {user} and {agent}"]


def test_tasks_narrow_the_view(tmp_path: Path) -> None:
    """The same session, another task."""
    with manager(tmp_path / "store", session_id="s", task_id="paint") as cm:
        cm.observe("Use the blue paint.", "Ok.")
        cm.set_task("wire")
        assert cm.query_memory("paint") == []
        cm.set_task("paint")
        assert len(cm.query_memory("paint")) == 1


def test_metadata_cannot_leave_the_scope(tmp_path: Path) -> None:
    """A record's own metadata may say where it belongs only where the manager leaves that open."""
    with manager(tmp_path / "store", user_id="ann") as cm:
        cm.add_memory("in a session", {"session_id": "s1"})
        with pytest.raises(InvalidRecordError, match="user_id"):
            cm.add_memory("for somebody else", {"user_id": "bob"})
        with pytest.raises(InvalidRecordError, match="agent_id"):
            cm.add_memory("for some agent", {"agent_id": "coach"})
        cm.observe("kept aside", "ok", metadata={"session_id": "s2"})
        assert cm.short_term_memory.turns == []
        cm.set_session("s2")
        assert [turn.user_input for turn in cm.short_term_memory.turns] == ["kept aside"]
        with pytest.raises(InvalidRecordError, match="session_id"):
            cm.add_memory("elsewhere", {"session_id": "s1"})
    with pytest.raises(ConfigError, match="user_id"):
        manager(tmp_path / "store", user_id="")


def test_clearing_stays_inside_the_scope(tmp_path: Path) -> None:
    """One user's clearing is not another's."""
    with manager(tmp_path / "store", user_id="ann") as ann, manager(tmp_path / "store", user_id="bob") as bob:
        ann.observe("a", "b")
        ann.add_memory("c")
        bob.add_memory("d")
        assert ann.long_term_memory.clear() == 1
        assert [turn.user_input for turn in ann.short_term_memory.turns] == ["a"]
        assert ann.clear_memory() == 1
        assert ann.short_term_memory.turns == []
        assert len(bob.query_memory("d")) == 1
        assert bob.long_term_memory.clear() == 1
