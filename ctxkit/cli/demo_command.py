"""`ctxkit demo`: a long conversation, a new process, and what it still knows."""

from __future__ import annotations

import os
import shlex
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ctxkit.cli.errors import interrupted
from ctxkit.cli.output import print_json, progress
from ctxkit.cli.settings import Settings

if TYPE_CHECKING:
    from ctxkit.demo.probes import Probe
    from ctxkit.demo.verdict import Verdict


def demo(
    settings: Settings,
    path: Annotated[
        Path | None, typer.Option("--path", metavar="PATH", help="Your own files, too.", show_default=False)
    ] = None,
    question: Annotated[
        list[str] | None,
        typer.Option("--question", metavar="TEXT", help="Ask this about PATH; may be repeated.", show_default=False),
    ] = None,
    keep: Annotated[
        Path | None, typer.Option("--keep", metavar="DIR", help="Keep the stores in this folder.", show_default=False)
    ] = None,
) -> None:
    """See it work: store a long conversation, end the process, and find the answers from a new one.

    The stores are temporary unless --keep names a folder. No key, no download and no network is needed.

    \b
    Examples:
      ctxkit demo
      ctxkit demo --path docs/
      ctxkit demo --path docs/ --question "how are conflicts resolved?"
      ctxkit demo --keep demo-store
    """  # noqa: D301 - \b is for the help formatter
    from ctxkit.errors import ConfigError, IngestError  # noqa: PLC0415 - start-up stays light

    if path is not None and not path.exists():
        raise IngestError(f"{path} does not exist.", fix="give --path a text file or a folder.")
    if question and path is None:
        raise ConfigError("--question is about files, and there is no --path.", fix="name them with --path.")
    try:
        with _folder(keep) as folder:
            report = _show(settings, folder, path, question or [], keep)
    except KeyboardInterrupt:
        raise interrupted(f"Interrupted. What was stored is safe in {keep}." if keep else "Interrupted.") from None
    if settings.as_json:
        print_json(report)


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    """Yield an empty folder for the stores: a new one of the user's, or a temporary one."""
    from ctxkit.errors import ConfigError  # noqa: PLC0415

    if keep is None:
        with tempfile.TemporaryDirectory(prefix="ctxkit-demo-", ignore_cleanup_errors=True) as name:
            yield Path(name)
        return
    try:
        keep.mkdir(parents=True, exist_ok=True)
        empty = not any(keep.iterdir())
    except OSError as exc:
        raise ConfigError(f"{keep} cannot be used: {exc.strerror}.", fix="give --keep a new folder.") from exc
    if not empty:
        raise ConfigError(f"{keep} is not empty.", fix="give --keep a new folder.")
    yield keep


def _show(settings: Settings, folder: Path, path: Path | None, own: list[str], keep: Path | None) -> dict[str, Any]:
    """Run both parts, printing as they go unless JSON is wanted; return everything as plain values."""
    from ctxkit.cli.demo_view import View  # noqa: PLC0415

    started = time.perf_counter()
    view = View(quiet=settings.as_json)
    report = _conversation(settings, folder / "conversation", view)
    if path is not None:
        report["files"] = _files(settings, folder / "files", path, own, view)
    report["seconds"] = round(time.perf_counter() - started, 2)
    report["store"] = str(keep / "conversation") if keep else None
    report["next"] = next_commands(keep, path, report["files"])
    view.end(report)
    return report


def _conversation(settings: Settings, store: Path, view: Any) -> dict[str, Any]:
    from ctxkit.demo.recall import ask  # noqa: PLC0415
    from ctxkit.demo.remember import remember  # noqa: PLC0415
    from ctxkit.demo.script import BUDGET, DOCUMENTATION_QUESTION, MEMORY, load_questions  # noqa: PLC0415
    from ctxkit.demo.verdict import conversation_as_dict, judge, tally  # noqa: PLC0415

    view.begin()
    with progress("Storing", quiet=settings.as_json) as update:
        remembered = remember(store, settings.registry(), observed=update, ingested=update)
    view.remembered(remembered)
    questions = [*load_questions(), DOCUMENTATION_QUESTION]
    with view.waiting("A new process opens the store and answers"):
        recalled = ask(
            store,
            [each.question for each in questions],
            budget=BUDGET,
            memory=MEMORY,
            plugins=settings.plugins,
        )
    verdicts = [judge(each, answer, remembered) for each, answer in zip(questions, recalled.answers, strict=True)]
    view.reopened(remembered, recalled)
    shown = [verdict for each, verdict in zip(questions, verdicts, strict=True) if each.show]
    for number, verdict in enumerate(shown, start=1):
        view.question(number, verdict)
    about_talk: list[Verdict] = verdicts[:-1]
    result = tally(about_talk, BUDGET)
    view.result(result, [verdict.answer.question for verdict in about_talk if not verdict.answered])
    return {
        "conversation": conversation_as_dict(remembered, recalled),
        "settings": {**MEMORY, "budget": BUDGET},
        "processes": {"stored": os.getpid(), "answered": recalled.pid},
        "result": result,
        "shown": [verdict.id for verdict in shown],
        "questions": [verdict.as_dict() for verdict in verdicts],
        "files": None,
    }


def _files(settings: Settings, store: Path, path: Path, own: list[str], view: Any) -> dict[str, Any]:
    from ctxkit.demo.probes import probes  # noqa: PLC0415
    from ctxkit.demo.recall import ask  # noqa: PLC0415
    from ctxkit.demo.remember import remember_files  # noqa: PLC0415
    from ctxkit.demo.script import BUDGET, MEMORY  # noqa: PLC0415
    from ctxkit.demo.verdict import judge_probe, place_of  # noqa: PLC0415

    view.begin_files(path)
    with progress("Ingesting", quiet=settings.as_json) as ingested:
        report = remember_files(store, settings.registry(), path, ingested=ingested)
    view.ingested(report)
    made = [] if own else probes(path)
    asked = own or [probe.question for probe in made]
    verdicts: list[Verdict] = []
    if asked:
        with view.waiting("A new process opens the store and answers"):
            recalled = ask(store, asked, budget=BUDGET, memory=MEMORY, plugins=settings.plugins)
        wanted: list[Probe | None] = [*made] or [None] * len(asked)
        verdicts = [
            judge_probe(number, probe, answer)
            for number, (probe, answer) in enumerate(zip(wanted, recalled.answers, strict=True), start=1)
        ]
    view.files(verdicts)
    return {
        "path": str(path),
        "files": report.files,
        "chunks": report.chunks,
        "skipped": [{"path": str(item.path), "reason": item.reason} for item in report.skipped],
        "questions": [{**verdict.as_dict(), "places": [place_of(hit) for hit in verdict.hits]} for verdict in verdicts],
    }


def next_commands(keep: Path | None, path: Path | None, files: dict[str, Any] | None) -> list[str]:
    """Return three commands that work as printed, in this order."""
    if keep is None and path is not None:
        asked = [each["question"] for each in files["questions"]] if files else []
        question = shlex.quote(asked[0] if asked else "what is this about?")
        return [f"ctxkit ingest {shlex.quote(str(path))}", f"ctxkit query {question}", f"ctxkit context {question}"]
    if keep is None:
        store = "demo-store/conversation"
        return ["ctxkit demo --keep demo-store", *_ask(store)]
    store = shlex.quote(str(keep / "conversation"))
    return [*_ask(store), f"ctxkit stats --store {store}"]


def _ask(store: str) -> list[str]:
    return [
        f"ctxkit query 'who is allergic to hazelnuts?' --store {store}",
        f"ctxkit context 'what did Teddy find?' --store {store}",
    ]
