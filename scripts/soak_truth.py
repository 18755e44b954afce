"""What is known outside the store: each worker's journal, and what it allows a reader to find.

A worker writes a line before and a line after each call, so a call that a kill cut short is known as one that may or
may not have happened. Every record is a register: a read that began at `began` and ended at `ended` may find a write
that began before `ended`, unless another write of that record began after it had ended, and ended before `began`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_NEVER = 2**62
_SHOWN = 8


@dataclass(eq=False, slots=True)
class Write:
    """One upsert or delete of some records; `applied` is None where nobody knows whether it happened."""

    token: str
    ids: frozenset[str]
    upsert: bool
    began: int
    ended: int = _NEVER
    applied: bool | None = None

    def __str__(self) -> str:
        sort = "upsert" if self.upsert else "delete"
        known = {None: "may have happened", True: "happened", False: "did not happen"}[self.applied]
        until = "?" if self.ended == _NEVER else f"{self.ended / 1e9:.6f}"
        return f"{sort} {self.token} of {len(self.ids)}, {self.began / 1e9:.6f} to {until}, {known}"


class Journal:
    """One worker's lines, appended to what its killed predecessors have left."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        # A predecessor may have been killed within a line.
        os.write(self._file, b"\n")
        self._line({"start": time.monotonic_ns()})

    def begin(self, token: str, ids: Iterable[str], *, upsert: bool) -> None:
        """Say that a write is about to be tried."""
        self._line({"token": token, "ids": list(ids), "upsert": upsert, "began": time.monotonic_ns()})

    def end(self, token: str, ended: int, *, applied: bool) -> None:
        """Say that the write has returned (`applied`) or was refused."""
        self._line({"done": token, "ended": ended, "applied": applied})

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)

    def _line(self, content: Mapping[str, Any]) -> None:
        os.write(self._file, json.dumps(content, separators=(",", ":")).encode() + b"\n")


class Truth:
    """Follows the journals of a folder and judges what was read. Reads have to be judged in the order of their time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._open: dict[Path, Write] = {}
        self._writes: dict[str, Write] = {}
        self._of_id: dict[str, list[Write]] = {}
        self._genesis = Write("nothing", frozenset(), upsert=False, began=-1, ended=-1, applied=True)
        self.recent: list[Write] = []

    def update(self) -> None:
        """Read what was added to the journals."""
        for path in sorted(self._folder.glob("*.log")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                added = file.read()
            whole = added.rfind(b"\n") + 1
            self._read[path] = self._read.get(path, 0) + whole
            for line in added[:whole].splitlines():
                self._take(path, line)

    def last_number(self, worker: str) -> int:
        """Return the highest number among a worker's writes, -1 where there is none."""
        own = f"{worker}x"
        return max((int(token[len(own) :]) for token in self._writes if token.startswith(own)), default=-1)

    def candidates(self, record_id: str, began: int, ended: int) -> list[Write]:
        """Return the writes whose outcome a read of that time may find; the genesis stands for "never written"."""
        writes = self._of_id.get(record_id, [self._genesis])
        floor = max((w.began for w in writes if w.applied and w.ended < began), default=-1)
        kept = [w for w in writes if w.applied is not False and w.ended >= floor]
        self._of_id[record_id] = kept
        return [w for w in kept if w.began < ended]

    def problem(self, record_id: str, token: str | None, began: int, ended: int) -> str | None:
        """Return what is wrong with finding the record as `token` wrote it, or with not finding it (None)."""
        found = self.candidates(record_id, began, ended)
        if token is None:
            if any(not write.upsert for write in found):
                return None
            return f"{record_id} is lost: not found by a read {_span(began, ended)}; {_told(found)}"
        write = next((w for w in found if w.upsert and w.token == token), None)
        if write is None:
            return self._why_not(record_id, token, began, ended, found)
        for other in found:
            # It was not applied, or what it wrote would have been found.
            if other.applied is None and other.ended < began and other.began > write.ended:
                other.applied = False
        write.applied = True
        write.ended = min(write.ended, ended)
        return None

    def torn(self, seen: Mapping[str, str | None], began: int, ended: int) -> list[str]:
        """Return where records that were read at one moment show a batch by halves; each was judged before."""
        floor: dict[str, Write] = {}
        for record_id, token in seen.items():
            found = [w for w in self.candidates(record_id, began, ended) if w.upsert == (token is not None)]
            observed = [w for w in found if token in {None, w.token}]
            if len(observed) != 1:
                continue
            for other in observed[0].ids & seen.keys():
                if other not in floor or floor[other].began < observed[0].began:
                    floor[other] = observed[0]
        problems = []
        for record_id, batch in floor.items():
            token = seen[record_id]
            possible = [
                w
                for w in self.candidates(record_id, began, ended)
                if w.upsert == (token is not None) and token in {None, w.token} and w.ended >= batch.began
            ]
            if not possible:
                problems.append(f"{record_id} is {token or 'absent'} where another record shows the batch {batch}")
        return problems

    def surely_there(self, ids: Collection[str], began: int, ended: int) -> list[tuple[str, Write]]:
        """Return the records that every read of that time has to find, each with its newest possible write."""
        there = []
        for record_id in ids:
            found = self.candidates(record_id, began, ended)
            if found and all(write.upsert for write in found):
                there.append((record_id, found[-1]))
        return there

    def may_be_there(self, ids: Collection[str], began: int, ended: int) -> int:
        """Return how many of the records a read of that time may find."""
        return sum(any(write.upsert for write in self.candidates(name, began, ended)) for name in ids)

    def _take(self, path: Path, line: bytes) -> None:
        try:
            content = json.loads(line)
        except ValueError:
            return  # cut short by a kill: a call that was never begun, or one whose end nobody saw
        pending = self._open.get(path)
        if "start" in content:
            if pending is not None:
                pending.ended = min(pending.ended, content["start"])
                del self._open[path]
        elif "done" in content:
            if pending is not None and pending.token == content["done"]:
                pending.applied = content["applied"]
                pending.ended = min(pending.ended, content["ended"])
                del self._open[path]
        else:
            write = Write(content["token"], frozenset(content["ids"]), content["upsert"], content["began"])
            self._open[path] = self._writes[write.token] = write
            for record_id in write.ids:
                self._of_id.setdefault(record_id, [self._genesis]).append(write)
            self.recent = [*self.recent[-63:], write]

    def _why_not(self, record_id: str, token: str, began: int, ended: int, found: list[Write]) -> str:
        write = self._writes.get(token)
        if write is None or record_id not in write.ids or not write.upsert:
            why = "nobody wrote that"
        elif write.applied is False:
            why = "that write was refused, or had not happened"
        else:
            why = f"that was overwritten or deleted ({write})"
        return f"{record_id} was found as {token} by a read {_span(began, ended)}: {why}; {_told(found)}"


def _span(began: int, ended: int) -> str:
    return f"from {began / 1e9:.6f} to {ended / 1e9:.6f}"


def _told(found: list[Write]) -> str:
    return "possible: " + ("; ".join(str(write) for write in found[-_SHOWN:]) or "nothing")
