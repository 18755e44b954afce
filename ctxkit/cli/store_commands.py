"""`ctxkit backup` and `ctxkit upgrade`: a copy while the store is in use, and a store of an older version."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ctxkit.cli.output import console, counted, harmless, print_json, progress, size
from ctxkit.cli.settings import Settings

Target = Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the copy goes; it must not exist or be empty.")]


def backup(settings: Settings, target: Target) -> None:
    """Copy a store while it is in use.

    The copy is of one moment and opens like the store itself. Indexes are not copied: they are made anew.

    \b
    Examples:
      ctxkit backup ~/backups/memory-today
      ctxkit backup copy --store ~/memory --json
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.local.copying import backup as copy_store  # noqa: PLC0415 - start-up stays light

    exporting = "copy it as plain files: `ctxkit export FOLDER`."
    with _engine_only(settings, exporting), progress("Copying", quiet=settings.as_json) as told:
        copied = copy_store(settings.store_path, target, told)
    if settings.as_json:
        print_json({"target": str(target), "collections": [vars(each) for each in copied]})
        return
    out = console()
    for each in copied:
        out.print(f"{harmless(each.name)}: {counted(each.records, 'record')}, {size(each.bytes_on_disk)}")
    out.print(f"Copied to {harmless(str(target))}.")


def upgrade(settings: Settings) -> None:
    """Bring a store of an older version to this version's format; one that is up to date is left alone.

    \b
    Examples:
      ctxkit upgrade --store ~/memory
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.local import copying  # noqa: PLC0415 - start-up stays light

    path = settings.store_path
    with _engine_only(settings, "leave it as it is: its backend brings its own files up to date."):
        found = copying.versions(path)
    with progress("Upgrading", quiet=settings.as_json) as told:
        changed = copying.upgrade(path, told)
    if settings.as_json:
        moved = [{"collection": name, "from": before, "to": after} for name, before, after in changed]
        print_json({"path": str(path), "collections": len(found), "upgraded": moved})
        return
    out = console()
    for name, before, after in changed:
        out.print(f"{harmless(name)}: format {before} is now {after}")
    out.print(f"{counted(len(found), 'collection')}, {len(changed)} upgraded, {len(found) - len(changed)} up to date.")


@contextmanager
def _engine_only(settings: Settings, fix: str) -> Iterator[None]:
    """Tell a store of another kind, which these commands cannot read, from none: raises UnsupportedError for it."""
    from ctxkit.errors import StoreUnavailableError, UnsupportedError  # noqa: PLC0415 - start-up stays light
    from ctxkit.memory.kinds import ENGINE, kinds_in  # noqa: PLC0415
    from ctxkit.memory.opening import COLLECTION  # noqa: PLC0415

    try:
        yield
    except StoreUnavailableError:
        place = settings.place
        if place.folder is None:
            kind = place.provider if settings.has_store() else None
        else:
            kind = next((name for name, held in kinds_in(place.folder, place.registry) if COLLECTION in held), None)
        if kind in {None, ENGINE}:  # the engine's own: something else is wrong
            raise
        raise UnsupportedError(
            f"the store is of {kind}; this command is for the stores that ctxkit keeps in files of its own.",
            fix=fix if place.folder is not None else fix.replace("FOLDER`", "FOLDER --from PLACE`"),
        ) from None
