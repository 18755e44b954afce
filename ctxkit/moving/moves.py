"""Moving a collection from one place to another: checked first, copied, compared, handed over."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ctxkit.errors import ConfigError, StoreLockedError
from ctxkit.interfaces import VectorStore
from ctxkit.local.layout import collection_directory
from ctxkit.memory.lease import Lease
from ctxkit.moving import preflight
from ctxkit.moving.journal import begun
from ctxkit.moving.origins import Origin, StoreOrigin
from ctxkit.moving.passes import Copying, Rule
from ctxkit.moving.places import StorePlace
from ctxkit.moving.report import MoveReport
from ctxkit.moving.settling import Handover, Order, Settling


def migrate(
    source: StorePlace, target: StorePlace, order: Order, *, rule: Rule | None = None, handover: Handover | None = None
) -> MoveReport:
    """Copy a collection to another place, compare the two, and return what was done; the source stays as it is.

    A target that holds records of its own is refused unless `order.into`. The same call goes on after a kill. `rule`
    says how records are copied (as they are, unless it is a `Reembedding`). With a `handover` the source may be written
    to meanwhile. Raises CollectionNotFoundError, ConfigError, UnsupportedError for what the target could not hold,
    StoreLockedError when the source does not stand still, and StoreCorruptError when copies differ.
    """
    preflight.check_distinct(source, target, order.collection)
    with source.open(source.existing(order.collection)) as store:
        return move(StoreOrigin(store), source.title, target, order, rule or Copying(), handover)


def move(
    origin: Origin, title: str, target: StorePlace, order: Order, rule: Rule, handover: Handover | None = None
) -> MoveReport:
    """Bring an origin's records, which is called `title`, to a target; as `migrate`."""
    started = time.monotonic()
    file = order.journal or journal_file(target, order.collection)
    journal, _ = begun(file, title, target.title, order.collection)
    spec = rule.spec(origin.spec)
    report = MoveReport(
        title, target.title, order.collection, spec.dimension, spec.metric, spec.fingerprint, journal.runs
    )
    if journal.state == "switching":
        if handover is None:
            raise ConfigError(
                f"{target.title} is complete, but the move was cut short while it switched.",
                fix=f"give --switch again, or remove {file} where the target is in use already.",
            )
        switched = handover.switch()
        report.switched = None if switched is None else str(switched)
        report.notes.append("The records were there already; only the switch was left to do.")
    else:
        preflight.check_fits(origin, target, spec)
        preflight.check_alike(target, spec)
        report.notes += preflight.losses(origin, target)
        with target.open(spec) as store, _alone(target, store):
            # Read once more: until here another command may have begun a move, or ended one.
            journal, resumed = begun(file, title, target.title, order.collection)
            work = Settling(origin, store, rule, order, report)
            if not (resumed or order.ours):
                work.check_free()
            journal.write("copying")
            if handover is None:
                work.settle()
            else:
                work.hand_over(handover, journal)
    journal.remove()
    report.seconds = round(time.monotonic() - started, 3)
    return report


@contextmanager
def _alone(target: StorePlace, store: VectorStore) -> Iterator[None]:
    """Let one command at a time move into a collection; raises StoreLockedError for the second one."""
    name = f"moving-{collection_directory(Path(), store.spec.name).name}"
    with Lease(name, target.folder, store).held() as mine:
        if not mine:
            raise StoreLockedError(
                f"another command moves records into {target.title}.",
                fix="wait until it is done, or name another target.",
            )
        yield


def journal_file(target: StorePlace, collection: str) -> Path:
    """Return where the journal of a move is kept: in the target's folder, else in the user's own for such things.

    https://specifications.freedesktop.org/basedir-spec/latest/ names the latter.
    """
    name = collection_directory(Path(), collection).name
    if target.folder is not None:
        return target.folder / f".moving-{name}.json"
    state = Path(os.environ.get("XDG_STATE_HOME") or "~/.local/state").expanduser()
    place = hashlib.blake2b(target.title.encode(), digest_size=8).hexdigest()
    return state / "ctxkit" / f"moving-{name}-{place}.json"
