"""`ctxkit migrate`, `export`, `import` and `reembed`: a collection moves, and nothing of it is lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ctxkit.cli.errors import interrupted
from ctxkit.cli.output import console, counted, harmless, number, print_json, progress
from ctxkit.cli.settings import Settings

if TYPE_CHECKING:
    from ctxkit.interfaces import Embedder
    from ctxkit.moving import MoveReport, StorePlace
    from ctxkit.moving.passes import Progress
    from ctxkit.plugins import PluginRegistry

_SHOWN = {"copy": "copied", "delete": "pruned", "verify": "compared", "export": "written", "check": "checked"}
_DIGITS = 16  # of a checksum: enough for an eye

Collection = Annotated[
    str | None, typer.Option("--collection", metavar="NAME", help="Which collection (default: the memory).")
]
Into = Annotated[bool, typer.Option("--into", help="Add to a target that holds other records.")]
Sample = Annotated[
    int | None, typer.Option("--sample", metavar="N", min=1, help="Compare N records at the end instead of all.")
]
Report = Annotated[Path | None, typer.Option("--report", metavar="FILE", help="Write the report there as JSON too.")]
EmbedderName = Annotated[
    str | None,
    typer.Option("--embedder", metavar="NAME", help="The model of the new vectors (default: as configured)."),
]
From = Annotated[
    str | None, typer.Option("--from", metavar="PLACE", help="The store to read (default: the folder of --store).")
]


def migrate(  # noqa: PLR0913 - a command line has as many options as it has
    settings: Settings,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="NAME:FOLDER, a folder, or a configuration file.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The same; its folder need not exist.")],
    *,
    collection: Collection = None,
    into: Into = False,
    sample: Sample = None,
    report: Report = None,
    reembed: Annotated[bool, typer.Option("--reembed", help="Make the vectors anew with another model.")] = False,
    embedder: EmbedderName = None,
    follow: Annotated[bool, typer.Option("--follow", help="The source is in use: copy what is written too.")] = False,
    stop: Annotated[
        str | None, typer.Option("--stop", metavar="COMMAND", help="Follow, and stop the writers so before the end.")
    ] = None,
    switch: Annotated[
        Path | None, typer.Option("--switch", metavar="FILE", help="Follow, then name the target in this TOML file.")
    ] = None,
    journal: Annotated[
        Path | None, typer.Option("--journal", metavar="FILE", help="Where to remember a move that was cut short.")
    ] = None,
) -> None:
    """Copy a memory or another collection to another store, and compare the two record by record.

    The source stays as it is. A move that was cut short goes on when the same command is given again. Vectors are
    copied bit by bit; --reembed makes them anew. With --follow the source may be written to meanwhile.

    \b
    Examples:
      ctxkit migrate ./memory chroma:./memory-in-chroma
      ctxkit migrate faiss:./memory hnswlib:./copy --report moved.json
      ctxkit migrate old.toml new.toml --collection notes --sample 1000
      ctxkit migrate ./memory exact:./new --stop "systemctl stop app" \\
          --switch ctxkit.toml
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit import moving  # noqa: PLC0415 - start-up stays light
    from ctxkit.config.files import read_file  # noqa: PLC0415

    if switch is not None:
        read_file(switch)  # found out now, not at the end
    registry = settings.registry()
    old, new = moving.parsed_place(source, registry), moving.parsed_place(target, registry)
    with _resumable(), _told(settings) as told:
        order = moving.Order(_name(collection), into=into, sample=sample, journal=journal, progress=told)
        handover = None
        if follow or stop is not None or switch is not None:
            handover = moving.Handover(
                lambda: moving.stopped(old, stop), lambda: switch and moving.switched(switch, old, new)
            )
        if reembed:
            with _embedder(settings, registry, embedder) as model:
                rule = moving.Reembedding(model, old.existing(order.collection))
                done = moving.migrate(old, new, order, rule=rule, handover=handover)
        else:
            done = moving.migrate(old, new, order, handover=handover)
    _show(settings, done, report, _opening(settings, new, done, embedder if reembed else None))


def export(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Where the export goes; it must not exist.")],
    *,
    source: From = None,
    collection: Collection = None,
    report: Report = None,
) -> None:
    """Write a memory or another collection to plain files: JSON Lines, and NumPy arrays for the vectors.

    docs/moving.md explains the files; ten lines of Python read them without ctxkit. An export that was cut short goes
    on when the same command is given again.

    \b
    Examples:
      ctxkit export memory-2024 --store ~/memory
      ctxkit export notes --from chroma:./chroma --collection notes
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit import moving  # noqa: PLC0415 - start-up stays light

    place = _source(settings, settings.registry(), source)
    with _resumable(), _told(settings) as told:
        done = moving.export(place, folder, _name(collection), progress=told)
    _show(settings, done, report)


def import_(
    settings: Settings,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder of an export.")],
    *,
    target: Annotated[
        str | None, typer.Option("--to", metavar="PLACE", help="The store (default: as configured, in --store).")
    ] = None,
    into: Into = False,
    sample: Sample = None,
    report: Report = None,
) -> None:
    """Bring an export into a store. Every file is checked before anything is written.

    \b
    Examples:
      ctxkit import memory-2024 --store ~/memory
      ctxkit import notes --to chroma:./chroma
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit import moving  # noqa: PLC0415 - start-up stays light

    place = settings.place if target is None else moving.parsed_place(target, settings.registry())
    with _resumable(), _told(settings) as told:
        done = moving.import_export(folder, place, into=into, sample=sample, progress=told)
    _show(settings, done, report, "" if target is None else _opening(settings, place, done))


def reembed(
    settings: Settings,
    *,
    embedder: EmbedderName = None,
    source: From = None,
    target: Annotated[
        str | None, typer.Option("--to", metavar="PLACE", help="Write to another store (default: where it is).")
    ] = None,
    collection: Collection = None,
    report: Report = None,
    drop_old: Annotated[bool, typer.Option("--drop-old", help="Delete the old vectors that were kept.")] = False,
) -> None:
    """Make the vectors of a memory or another collection anew with another model.

    The new collection is made beside the old one and takes its place in one step, once nobody has it open; the old
    one is kept until --drop-old.

    \b
    Examples:
      ctxkit reembed --store ~/memory --embedder sentence-transformers
      ctxkit reembed --drop-old --store ~/memory
      ctxkit reembed --from chroma:./chroma --to chroma:./chroma-new
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit import moving  # noqa: PLC0415 - start-up stays light

    registry = settings.registry()
    place = _source(settings, registry, source)
    if drop_old:
        dropped = str(moving.drop_old(place, _name(collection)))
        if settings.as_json:
            print_json({"dropped": dropped})
        else:
            console().print(f"Deleted {harmless(dropped)}.", soft_wrap=True)
        return
    new = place if target is None else moving.parsed_place(target, registry)
    with _resumable(), _told(settings) as told, _embedder(settings, registry, embedder) as model:
        order = moving.Order(_name(collection), progress=told)
        if target is None:
            done = moving.reembed(place, model, order)
        else:
            rule = moving.Reembedding(model, place.existing(order.collection))
            done = moving.migrate(place, new, order, rule=rule)
    if done.old:
        given = (("--from", source), ("--collection", collection))
        named = [word for option, value in given if value is not None for word in (option, value)]
        after = f"{settings.repeated('reembed', '--drop-old', *named)} deletes them."
    else:
        after = "" if target is None else _opening(settings, new, done, embedder)
    _show(settings, done, report, after)


def _name(collection: str | None) -> str:
    from ctxkit.memory.opening import COLLECTION  # noqa: PLC0415

    return collection or COLLECTION


def _source(settings: Settings, registry: PluginRegistry, given: str | None) -> StorePlace:
    from ctxkit import moving  # noqa: PLC0415

    return moving.found_place(settings.store_path, registry) if given is None else moving.parsed_place(given, registry)


def _embedder(settings: Settings, registry: PluginRegistry, name: str | None) -> Embedder:
    """Return the embedder of that name, with the configured options where it is the configured one."""
    from ctxkit.errors import ConfigError  # noqa: PLC0415 - start-up stays light

    section = settings.config().embedder
    if (name or section.provider) == "none":
        raise ConfigError(
            "the embedder none makes no vectors.",
            fix="name a model with --embedder; `ctxkit plugins list` shows them.",
        )
    options = section.options() if name in (None, section.provider) else {}
    return registry.create_embedder(name or section.provider, options)


@contextmanager
def _resumable() -> Iterator[None]:
    """Say on Ctrl-C that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        raise interrupted(
            "Interrupted. What was copied so far stays, and the source is as it was; the same command again goes on."
        ) from None


@contextmanager
def _told(settings: Settings) -> Iterator[Progress]:
    with progress("Moving", quiet=settings.as_json) as update:
        yield lambda phase, done, total: update(done, total, _SHOWN[phase])


def _opening(settings: Settings, place: StorePlace, done: MoveReport, embedder: str | None = None) -> str:
    """Return a line that says how the memory is opened that was moved; nothing of another collection."""
    from ctxkit.memory.opening import COLLECTION  # noqa: PLC0415 - start-up stays light

    if done.collection != COLLECTION or done.switched:
        return ""
    model = [] if embedder is None else ["--set", f"embedder.provider={embedder}"]
    replaced = ("vector_store.", "embedder.provider=") if model else ("vector_store.",)
    kept = tuple(each for each in settings.assignments if not each.startswith(replaced))
    rest = replace(settings, store=None, assignments=kept)
    return f"It is opened as in {rest.repeated('stats', *_options(place), *model)}."


def _options(place: StorePlace) -> list[str]:
    """Return the options with which a command opens a place, whatever is configured; no secret."""
    from ctxkit.config.secrets import is_shown  # noqa: PLC0415 - start-up stays light
    from ctxkit.moving.places import HIDDEN  # noqa: PLC0415

    told = place.config.model_dump(mode="json", exclude_unset=True)
    folder = told.pop("path", None)
    words = [] if folder is None else ["--store", str(folder)]
    shown = [
        f"vector_store.{name}={value}"
        for name, value in {"provider": place.provider, **told}.items()
        if value != HIDDEN and not isinstance(value, dict) and is_shown(name, value)
    ]
    return words + [word for each in shown for word in ("--set", each)]


def _show(settings: Settings, report: MoveReport, file: Path | None, after: str = "") -> None:
    """Print or write a report; `after` says what follows from it for the user."""
    if file is not None:
        report.write(file)
    if settings.as_json:
        print_json(report.as_dict())
        return
    out = console()
    for line in _lines(report):
        out.print(harmless(line), soft_wrap=True)
    if after:
        out.print(harmless(after), soft_wrap=True)


def _lines(report: MoveReport) -> Iterator[str]:
    found = report.verified
    # It reads what any store of the engine wrote, and which of them it was nobody notes: the folder says more.
    yield f"{report.collection}: {report.source.removeprefix('exact:')} -> {report.target}"
    begun = f", begun {counted(report.runs, 'time')}" if report.runs > 1 else ""
    rate = f", {number(round(report.read / report.seconds))} a second" if report.seconds and report.read else ""
    pruned = f", {number(report.deleted)} deleted" if report.deleted else ""
    yield f"{counted(report.written, 'record')} written{pruned} in {report.seconds:.1f} s{rate}{begun}."
    if found.compared:
        checksum = f"; checksum {found.copy_digest[:_DIGITS]}" if found.copy_digest else ""
        total = counted(found.records, "record")
        yield f"Compared {number(found.compared)} of {total}: no difference{checksum}."
    if found.recall is not None:
        named = (("before", found.recall.before), ("after", found.recall.after), ("same answers", found.recall.same))
        shown = ", ".join(f"{name} {share:.1%}" for name, share in named if share is not None)
        yield f"Nearest {found.recall.k} of {counted(found.recall.queries, 'vector')}: {shown}."
    if report.switched:
        yield f"{report.switched} names {report.target} now."
    yield from (f"Note: {line}" for line in report.notes)
    if report.old:
        yield f"The old vectors are in {report.old}."
