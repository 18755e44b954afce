"""The workers that read while others write, and judge what they find."""

from __future__ import annotations

import time
from typing import Any

from soak_judging import Judge, filters, leaked, misplaced
from soak_records import SHARED, traits
from soak_worker import Role

from ctxkit.filters import matches, parse
from ctxkit.records import Record

_REOPENED, _IDLE = 0.02, 0.01


class Reader(Role):
    """Asks every kind of question; holds its handle, now and then for seconds without use, now and then opens anew."""

    judges = True

    def step(self) -> None:
        """Ask one question."""
        if self.chance(_REOPENED):
            self.reopen()
        if self.chance(_IDLE):
            time.sleep(self.rng.uniform(0.5, 3))
        asks = (self._get, self._get, self._scan, self._count, self._query, self._query, self._fresh, self._words)
        self.one_of(asks)()

    def judge(self) -> None:
        """Compare with brute force, and with the journals: now every acknowledged write has to be there."""
        began = time.monotonic_ns()
        judge = Judge(self.store, self.scene.recipe, self.rng, exact=self.kind.exact)
        self._whole(judge.records, began, "at rest")
        verdict = judge.compare(list(self.scene.owned))
        self.compared(verdict)
        health = self.store.health()
        self.count("health")
        if not health.ok:
            self.fail("health", "; ".join(health.problems))

    def _whole(self, records: list[Record], began: int, what: str) -> None:
        found = {record.id: record for record in records}
        ids = self.scene.everything
        self.snapshot(ids, [found.get(name) for name in ids], began, time.monotonic_ns(), what)
        if unknown := found.keys() - set(ids):
            self.fail("wrong record", f"{what}: nobody owns {sorted(unknown)}")

    def _ids(self) -> list[str]:
        """Return the ids of a batch that was written lately, or any."""
        self.truth.update()
        recent = [write for write in self.truth.recent if write.ids]
        if recent and self.chance(0.7):
            return sorted(self.one_of(recent).ids)
        everything = self.scene.everything
        return [everything[place] for place in self.rng.choice(len(everything), size=30, replace=False)]

    def _get(self) -> None:
        ids = self._ids()
        began = time.monotonic_ns()
        found = self.store.get(ids, include_vectors=True)
        self.snapshot(ids, found, began, time.monotonic_ns(), "get")
        self.count("get")

    def _where(self) -> dict[str, Any] | None:
        return filters(self.rng, list(self.scene.owned)) if self.chance(0.6) else None

    def _passing(self, where: dict[str, Any] | None) -> list[str]:
        node = parse(where)
        return [name for name in self.scene.everything if matches(node, traits(name))]

    def _scan(self) -> None:
        where = self._where()
        began = time.monotonic_ns()
        found = list(self.store.scan(where, include_vectors=True))
        ended = time.monotonic_ns()
        self.seen(found, began, ended, f"scan({where})")
        if names := leaked(found, where):
            self.fail("filter leaked", f"scan({where}): {names}")
        there = {record.id for record in found}
        missing = [pair for pair in self.truth.surely_there(self._passing(where), began, ended) if pair[0] not in there]
        if missing:
            shown = ", ".join(f"{name} ({write})" for name, write in missing[:5])
            self.fail("lost record", f"scan({where}) lacks {len(missing)}: {shown}")
        self.count("scan")
        self.count("answers checked")

    def _count(self) -> None:
        where = self._where()
        began = time.monotonic_ns()
        found = self.store.count(where)
        ended = time.monotonic_ns()
        self.truth.update()
        ids = self._passing(where)
        least = len(self.truth.surely_there(ids, began, ended))
        most = self.truth.may_be_there(ids, began, ended)
        if not least <= found <= most:
            self.fail("wrong count", f"count({where}) is {found}, not from {least} to {most}")
        self.count("count")
        self.count("answers checked")

    def _query(self) -> None:
        where = self._where()
        if where is not None and self.chance(0.3):
            where = {"$and": [where, {"even": self.chance(0.5)}]}
        query = self.scene.recipe.near(self.rng)
        k = int(self.rng.choice([1, 5, 20, 300]))
        what = f"query(k={k}, where={where})"
        began = time.monotonic_ns()
        hits = self.store.query(query, k, where=where, include_vectors=True)[0]
        ended = time.monotonic_ns()
        self.seen(hits, began, ended, what)
        for problem in misplaced(hits, query, self.scene.recipe.metric):
            self.fail("wrong answer", f"{what}: {problem}")
        if names := leaked(hits, where):
            self.fail("filter leaked", f"{what}: {names}")
        node = parse(where)
        least = 0
        for name, _ in self.truth.surely_there(self.scene.everything, began, ended):
            versions = [self.scene.recipe.record(name, w.token) for w in self.truth.candidates(name, began, ended)]
            least += all(r.vector is not None and matches(node, r.metadata) for r in versions)
            if least >= k:
                break
        if len(hits) > k or len(hits) < min(k, least):
            self.fail("law of k", f"{what}: {len(hits)} hits, at least {least} records match")
        self.count("query" if where is None else "query, filter")
        self.count("answers checked")

    def _fresh(self) -> None:
        """Search for a vector that was just acknowledged: what is new is searched exactly, whatever the index."""
        names = [name for name in self._ids() if not name.startswith(SHARED)]
        now = time.monotonic_ns()
        there = self.truth.surely_there(names, now, now)
        if not there:
            return
        name, write = self.one_of(there)
        record = self.scene.recipe.record(name, write.token)
        if record.vector is None:
            return
        began = time.monotonic_ns()
        hits = self.store.query(record.vector, 200, include_vectors=True, where={"op": write.token})[0]
        ended = time.monotonic_ns()
        self.seen(hits, began, ended, f"query(where op = {write.token})")
        found = self.truth.candidates(name, began, ended)
        if len(found) == 1 and found[0] is write and name not in hits.ids:
            self.fail("stale answer", f"the vector of {name} by {write} is not found")
        self.count("query, filter")
        self.count("answers checked")

    def _words(self) -> None:
        self.truth.update()
        recent = [write for write in self.truth.recent if write.upsert]
        if not recent:
            return
        write = self.one_of(recent)
        began = time.monotonic_ns()
        hits = self.store.text_query(write.token, 100)
        ended = time.monotonic_ns()
        self.seen(hits, began, ended, f"text_query({write.token!r})", vectors=False)
        there = self.truth.surely_there(write.ids, began, ended)
        sure = {name for name, _ in there if self.truth.candidates(name, began, ended) == [write]}
        if lacking := sure - set(hits.ids):
            self.fail("stale answer", f"text_query({write.token!r}) lacks {sorted(lacking)} of {write}")
        if wrong := [hit.id for hit in hits if hit.metadata["op"] != write.token]:
            self.fail("wrong answer", f"text_query({write.token!r}) found {wrong}")
        self.count("text query")
        self.count("answers checked")
