"""`ctxkit ingest`: files and folders into a store."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxkit.cli.errors import complain, interrupted
from ctxkit.cli.output import console, counted, fallback_lines, harmless, near, print_json, progress
from ctxkit.cli.settings import Settings

if TYPE_CHECKING:
    from ctxkit.errors import CtxkitError
    from ctxkit.ingest import IngestReport
    from ctxkit.manager import ContextManager

_MOST_NAMED = 20
_MOST_MISSING = 3
_INTERRUPTED = "Interrupted. Every file counted so far is stored; the same command again goes on from there."
_TOO_EARLY = "Interrupted before anything was stored; the same command again begins."
_MADE_A_TEXT = {
    "not UTF-8 text": "save it as UTF-8, as with `iconv -f LATIN1 -t UTF-8 OLD > NEW`",
    "binary file": "extract its text first, of a PDF with `pdftotext`",
}


def ingest(
    settings: Settings,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Text files and folders.")],
) -> None:
    """Store text files, or every text file below a folder, in chunks that a search can find.

    A file that has not changed is left as it is, and a changed one replaced, so the same command again brings the
    store up to date, or goes on after an interruption. What cannot be read as text is named and stops nothing.

    \b
    Examples:
      ctxkit ingest README.md docs/
      ctxkit ingest notes/ --store ~/memory --json
    """  # noqa: D301 - \b is for the help formatter
    missing = [path for path in paths if not path.exists()]
    found = [path for path in paths if path.exists()]
    if missing and not found:
        raise _missing(missing)
    if missing:
        complain(_missing(missing))
    try:
        report, stats = _store(settings, found)
    except KeyboardInterrupt:
        from ctxkit.errors import CtxkitError  # noqa: PLC0415 - start-up stays light

        line = _INTERRUPTED
        with suppress(CtxkitError):  # who does not answer cannot be asked
            line = line if settings.has_store() else _TOO_EARLY
        raise interrupted(line) from None
    if settings.as_json:
        print_json(_as_dict(settings, report, stats, missing))
    else:
        _show(settings, report, stats)
    nothing = bool(report.skipped) and not report.files and not report.unchanged
    if nothing and not missing:
        complain(_nothing(report))
    if missing or nothing:
        raise typer.Exit(1)


def _missing(paths: Sequence[Path]) -> CtxkitError:
    """Return what to say of paths that are not there; the rest of a long list is counted."""
    from ctxkit.errors import IngestError  # noqa: PLC0415 - start-up stays light

    told = [f"{path} {'is a broken link' if path.is_symlink() else 'does not exist'}" for path in paths[:_MOST_MISSING]]
    if len(paths) > _MOST_MISSING:
        told.append(f"nor do {len(paths) - _MOST_MISSING} more")
    return IngestError(f"{', '.join(told)}.", fix="give the path of a text file or a folder.")


def _nothing(report: IngestReport) -> CtxkitError:
    """Return what to say where nothing that was named could be stored."""
    from ctxkit.errors import IngestError  # noqa: PLC0415 - start-up stays light

    reasons = dict.fromkeys(item.reason for item in report.skipped)
    fixes = [_MADE_A_TEXT[reason] for reason in reasons if reason in _MADE_A_TEXT]
    return IngestError(
        f"nothing was stored: {', '.join(reasons)}.", fix=f"{'; '.join(fixes) or 'name a file with text in it'}."
    )


def _store(settings: Settings, paths: Sequence[Path]) -> tuple[IngestReport, dict[str, Any]]:
    """Ingest the paths; return what was done, and the figures of the store after it."""
    from ctxkit.ingest import IngestReport  # noqa: PLC0415 - start-up stays light

    report = IngestReport()
    with settings.manager(create=True) as manager:
        for path in paths:
            report.add(ingest_one(manager, path, quiet=settings.as_json))
        return report, manager.get_stats()


def ingest_one(manager: ContextManager, path: Path, *, quiet: bool) -> IngestReport:
    """Ingest a file or a folder under a progress bar."""
    with progress(f"Ingesting {harmless(path.name or str(path))}", quiet=quiet) as update:
        if path.is_dir():
            return manager.ingest_directory(path, progress=update)
        update(0, 1, path.name)
        return manager.ingest_file(path)


def _as_dict(
    settings: Settings, report: IngestReport, stats: dict[str, Any], missing: Sequence[Path]
) -> dict[str, object]:
    return {
        "store": settings.where,
        "files": report.files,
        "chunks": report.chunks,
        "unchanged": report.unchanged,
        "pending_embeddings": stats["pending_embeddings"],
        "fallbacks": stats["fallbacks"],
        "skipped": [{"path": str(item.path), "reason": item.reason} for item in report.skipped],
        "missing": [str(path) for path in missing],
    }


def _show(settings: Settings, report: IngestReport, stats: dict[str, Any]) -> None:
    out = console()
    out.print(f"Stored {counted(report.files, 'file')} as {counted(report.chunks, 'chunk')}.", style="bold")
    if report.unchanged:
        out.print(f"{counted(report.unchanged, 'file')} had not changed.")
    if stats["pending_embeddings"]:
        waiting = counted(stats["pending_embeddings"], "record")
        out.print(f"{waiting} without an embedding yet, found by their words until then.", style="yellow")
    for line in skipped_lines(report):
        out.print(line, style="yellow", soft_wrap=True)
    for line in fallback_lines(stats):
        out.print(line, style="dim")
    out.print(f"Store: {harmless(settings.where)}", style="dim", soft_wrap=True)


def skipped_lines(report: IngestReport) -> list[str]:
    """Return what an ingestion left out, and why, a line each; the rest of a long list is counted."""
    if not report.skipped:
        return []
    lines = [f"Skipped {counted(len(report.skipped), 'file')}:"]
    lines += [f"  {near(str(item.path))}: {item.reason}" for item in report.skipped[:_MOST_NAMED]]
    if len(report.skipped) > _MOST_NAMED:
        lines.append(f"  and {len(report.skipped) - _MOST_NAMED} more; --json names them all")
    return lines
