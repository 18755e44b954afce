"""Whether a target holds what its origin holds: counts, checksums, and the same answers to the same questions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ctxkit.interfaces import VectorStore
from ctxkit.moving.digests import ContentDigest, record_digest
from ctxkit.moving.origins import Origin
from ctxkit.moving.passes import NAMED, Progress, Rule, batches, compared
from ctxkit.moving.probing import Probe, Recall


@dataclass
class Verified:
    """What was compared. `wrong` counts records that are missing or differ, `named` are a few of them.

    `extra` is how many more records the target has than the origin; `digest` and `copy_digest` are those of the whole
    content (None where a sample was compared).
    """

    records: int = 0
    compared: int = 0
    wrong: int = 0
    extra: int = 0
    named: list[str] = field(default_factory=list)
    digest: str | None = None
    copy_digest: str | None = None
    recall: Recall | None = None

    @property
    def sound(self) -> bool:
        """Whether nothing is missing, nothing differs and nothing is there that should not be."""
        return not self.wrong and not self.extra

    def note(self, record_id: str) -> None:
        """Count a record that is not as it should be."""
        self.wrong += 1
        if len(self.named) < NAMED:
            self.named.append(record_id)


@dataclass(frozen=True)
class Scope:
    """How much is verified: the records `ids`, which the probe asks for too, or all of them unless `sampled`.

    `shared` says that the target holds other things, which are not counted. `before` answers the probe's questions as
    the origin does, where it has the same vectors.
    """

    ids: Sequence[str]
    sampled: bool = False
    shared: bool = False
    before: VectorStore | None = None


def verify(origin: Origin, target: VectorStore, rule: Rule, scope: Scope, progress: Progress) -> Verified:
    """Compare the target with its origin, reading both."""
    found = Verified(records=origin.count())
    found.extra = 0 if scope.shared else max(0, target.count() - found.records)
    probe = Probe(scope.before, target, scope.ids)
    own, copied = ContentDigest(), ContentDigest()
    total = len(scope.ids) if scope.sampled else found.records
    for batch in batches(
        origin.chosen(scope.ids) if scope.sampled else origin.records(), target.capabilities.max_batch
    ):
        copies = []
        for record, copy, same in compared(batch, target, rule):
            copies += [] if copy is None else [copy]
            if not same:
                found.note(record.id)
        own.add(record_digest(record) for record in batch)
        copied.add(record_digest(copy) for copy in copies)
        if not scope.sampled:
            probe.offer(copies)
        found.compared += len(batch)
        progress("verify", found.compared, max(total, found.compared))
    found.digest, found.copy_digest = (None, None) if scope.sampled else (str(own), str(copied))
    found.recall = probe.result(exact=not scope.sampled)
    return found
