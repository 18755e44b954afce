"""Random operations on memory beside a simple model of what must be found: the parts of the test of that name."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from components import config
from every_store import ENGINES, REGISTRY

from ctxkit import ContextManager, VectorStoreConfig

USERS: Final = (None, "ann", "bob")
SESSIONS: Final = (None, "red", "green")
_TOKEN: Final = re.compile(r"fact\d+x")
_PATIENCE: Final = 120.0
_LIMITS: Final[dict[str, Any]] = {"stm_capacity": 120, "chunk_size": 60, "summary_fanout": 3, "recent_k": 3}


@dataclass(slots=True)
class Item:
    """Something that was stored: the word by which it is found, whose it is, and how long it was valid."""

    token: str
    id: str
    user: str | None
    session: str | None
    is_turn: bool
    gone: bool = False
    superseded_after: float | None = None

    def seen_by(self, user: str | None, session: str | None) -> bool:
        """Whether a manager of this user and session may find it."""
        return self.user == user and session in (None, self.session)

    @property
    def found(self) -> bool:
        """Whether it must be found today."""
        return not self.gone and self.superseded_after is None


def opened(path: Path, store: str, user: str | None, session: str | None) -> ContextManager:
    """Return a manager with a small view."""
    settings = config(**_LIMITS)
    # With indexes from the first vector on, where there is one.
    own = {"exact_below": 0} if store in ENGINES else {}
    settings.vector_store = VectorStoreConfig.model_validate({"provider": store, **own})
    return ContextManager(settings, path=path, registry=REGISTRY, user_id=user, session_id=session)


@dataclass(slots=True)
class Run:
    """One store, what must be in it, and the manager that is open on it just now."""

    path: Path
    store: str
    random: random.Random
    items: list[Item] = field(default_factory=list)
    count: int = 0
    done: Counter[str] = field(default_factory=Counter)
    user: str | None = None
    session: str | None = None
    cm: ContextManager = field(init=False)

    def __post_init__(self) -> None:
        self.cm = opened(self.path, self.store, None, None)

    def step(self, name: str) -> None:
        """Do one operation, by its name."""
        self.done[name] += 1
        getattr(self, name)()

    def token(self) -> str:
        """Return a word that stands nowhere yet."""
        self.count += 1
        return f"fact{self.count}x"

    def visible(self) -> list[Item]:
        """Return what the open manager must find."""
        return [item for item in self.items if item.found and item.seen_by(self.user, self.session)]

    def observe(self) -> None:
        """Store a turn, now and then twice under one id."""
        token = self.token()
        words = (f"Parcel {token} lies on shelf {self.count % 97}.", "Noted.")
        record_id = self.cm.observe(*words, turn_id=token)
        if self.random.random() < 0.1:
            assert self.cm.observe(*words, turn_id=token) == record_id
        self.items.append(Item(token, record_id, self.user, self.session, is_turn=True))

    def add(self) -> None:
        """Store a memory."""
        token = self.token()
        record_id = self.cm.add_memory(f"Crate {token} stands in hall {self.count % 89}.")
        self.items.append(Item(token, record_id, self.user, self.session, is_turn=False))

    def add_expired(self) -> None:
        """Store a memory that is never found."""
        self.cm.add_memory(f"Crate {self.token()} is no more.", {"expires_at": time.time() - 1})

    def supersede(self) -> None:
        """Put a memory in the place of another one, which is found as of a moment before."""
        mine = [item for item in self.visible() if not item.is_turn and item.session == self.session]
        if not mine:
            return
        old = self.random.choice(mine)
        before = time.time()
        token = self.token()
        record_id = self.cm.add_memory(f"Crate {token} was moved.", supersedes=old.id)
        old.superseded_after = before
        self.items.append(Item(token, record_id, self.user, self.session, is_turn=False))
        assert old.token not in self.answers(old.token)
        assert old.token in self.answers(old.token, as_of=before)

    def erase(self) -> None:
        """Erase a few, whatever they are, or now and then the session."""
        own = [item for item in self.items if not item.gone and item.seen_by(self.user, self.session)]
        if self.session is not None and self.random.random() < 0.1:
            report = self.cm.erase(session_id=self.session)
            assert report.turns + report.memories >= len(own)
            doomed = own
        else:
            doomed = self.random.sample(own, min(3, len(own)))
            report = self.cm.erase([item.id for item in doomed])
            assert report.turns + report.memories == len(doomed)
        assert report.bytes_erased == (self.store != "chroma")
        for item in doomed:
            item.gone = True

    def build(self) -> None:
        """Build a context: in its budget, and with nothing that it may not show."""
        budget = self.random.choice((60, 150, 400, 2000))
        token = self.random.choice(self.visible()).token if self.visible() else "nothing"
        result = self.cm.build(f"Where is {token}?", budget=budget)
        assert self.cm._tokenizer.count(result.text) == result.tokens <= budget
        self.judge(result.text.removesuffix(f"Where is {token}?"))

    def query(self) -> None:
        """Find something that was stored, whatever and whenever it was."""
        if self.visible():
            token = self.random.choice(self.visible()).token
            assert token in self.answers(token), f"{token} is lost"
        self.answers("shelf hall parcel crate")

    def switch(self) -> None:
        """Go on in another session."""
        self.session = self.random.choice(SESSIONS)
        self.cm.set_session(self.session)

    def reopen(self) -> None:
        """Close the store and open it as another user."""
        self.cm.close()
        self.user, self.session = self.random.choice(USERS), self.random.choice(SESSIONS)
        self.cm = opened(self.path, self.store, self.user, self.session)

    def threads(self) -> None:
        """Observe and build from several threads at once."""
        made: list[tuple[str, str]] = []

        def talk(token: str) -> None:
            made.append((token, self.cm.observe(f"Parcel {token} is under way.", "Noted.")))
            self.cm.build(f"Where is {token}?", budget=200)

        workers = [threading.Thread(target=talk, args=(self.token(),)) for _ in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(_PATIENCE)
        assert len(made) == len(workers)
        self.items += [Item(token, name, self.user, self.session, is_turn=True) for token, name in made]

    def crash(self) -> None:
        """Have another process write and kill it in the midst: what it was told was stored is there."""
        self.cm.close()
        journal = self.path.with_name("journal")
        journal.unlink(missing_ok=True)
        arguments = (self.path, self.store, self.user, self.session, self.count, journal)
        child = multiprocessing.get_context("spawn").Process(target=_write_until_killed, args=arguments)
        child.start()
        deadline = time.monotonic() + _PATIENCE
        enough = self.random.randrange(1, 12)
        while not journal.exists() or journal.read_bytes().count(b"\n") < enough:
            assert child.is_alive()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child.pid or 0, signal.SIGKILL)
        child.join(_PATIENCE)
        self.cm = opened(self.path, self.store, self.user, self.session)
        told = [line.split() for line in journal.read_text().splitlines(keepends=True) if line.endswith("\n")]
        self.count += len(told) + 1
        # The turn that was being written is there or not.
        unsure = [
            entry.id for entry in self.cm.list_memories() if entry.kind == "turn" and f"fact{self.count}x" in entry.text
        ]
        for token, record_id in [*told, *([f"fact{self.count}x", name] for name in unsure)]:
            self.items.append(Item(token, record_id, self.user, self.session, is_turn=True))
        for token, _ in told:
            assert token in self.answers(token), f"{token} was stored and is lost"

    def answers(self, question: str, **arguments: Any) -> set[str]:
        """Return the tokens that a question finds, each of which may be found."""
        found = " ".join(text for text, _ in self.cm.query_memory(question, k=10, **arguments))
        return set(_TOKEN.findall(found)) if arguments else self.judge(found)

    def judge(self, text: str) -> set[str]:
        """Return the tokens in a text after a look at whether they may stand there."""
        shown = set(_TOKEN.findall(text))
        leaked = shown - {item.token for item in self.visible()}
        assert not leaked, f"{leaked} may not be seen by {self.user} in {self.session}"
        return shown

    def audit(self) -> None:
        """Look for everything, and at the links: each turn is in view or below exactly one summary."""
        self.cm.close()
        for user in USERS:
            self.user, self.session = user, None
            with opened(self.path, self.store, user, None) as self.cm:
                for item in self.visible():
                    assert item.token in self.answers(item.token), f"{item.token} is lost"
                entries = {entry.id for entry in self.cm.list_memories() if entry.kind != "summary"}
                kept = {item.id for item in self.items if item.user == user and not item.gone}
                assert entries == kept
                scan = self.cm._vault.store.scan
                for session in SESSIONS:
                    self.cm.set_session(session)
                    thread = self.cm.short_term_memory.thread
                    turns = [record.id for record in scan({"_ctx_thread": thread, "_ctx_kind": "turn"})]
                    chunks = scan({"_ctx_thread": thread, "_ctx_level": "chunk"})
                    linked = [name for record in chunks for name in record.metadata["_ctx_lineage"]]
                    in_view = [turn.id for turn in self.cm.short_term_memory.turns]
                    assert Counter(linked + in_view) == Counter(turns)


def _write_until_killed(
    path: Path, store: str, user: str | None, session: str | None, count: int, journal: Path
) -> None:
    with opened(path, store, user, session) as cm, journal.open("w", encoding="utf-8") as told:
        while True:
            count += 1
            record_id = cm.observe(f"Parcel fact{count}x lies on shelf 5.", "Noted.")
            told.write(f"fact{count}x {record_id}\n")
            told.flush()
