"""The second half: a process that never saw the conversation opens the store and answers from it.

`ask` starts that process, `python -m ctxkit.demo.recall`. The two speak JSON: the request comes in on standard
input, the answers go out on standard output, which is nobody's screen but a pipe to the first process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ctxkit.errors import CtxkitError


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that stands in a context: a recent turn, a memory or a summary."""

    id: str
    text: str
    tokens: int
    score: float
    source: str | None
    timestamp: float | None


@dataclass(frozen=True, slots=True)
class Answer:
    """The context that was built for a question, and what stands in it."""

    question: str
    text: str
    tokens: int
    budget: int
    parts: dict[str, int]
    considered: int
    recent: tuple[Seen, ...]
    memories: tuple[Seen, ...]
    summaries: int


@dataclass(frozen=True, slots=True)
class Recalled:
    """What the second process reports: its process id, the view it found, its figures and its answers."""

    pid: int
    view: tuple[str, ...]
    stats: dict[str, Any]
    answers: tuple[Answer, ...]


def ask(
    store: Path, questions: Sequence[str], *, budget: int, memory: Mapping[str, int], plugins: Sequence[str] = ()
) -> Recalled:
    """Reopen a store in a new process and build a context for each question.

    Raises CtxkitError with the cause that the other process gave.
    """
    plugins = [str(Path(each).absolute()) if each.endswith(".py") else each for each in plugins]
    request = {
        "store": str(store.absolute()),
        "questions": list(questions),
        "budget": budget,
        "memory": dict(memory),
        "plugins": plugins,
    }
    # It finds the modules that this process finds, from whatever folder and however ctxkit came here.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)}
    done = subprocess.run(
        [sys.executable, "-m", "ctxkit.demo.recall"],
        input=json.dumps(request),
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        env=environment,
        cwd=store,
        check=False,
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise CtxkitError(f"the second process failed: {last[0]}", fix="run the same with --debug.")
    reply = json.loads(done.stdout)
    if "error" in reply:
        raise CtxkitError(reply["error"], fix=reply["fix"])
    answers = tuple(
        Answer(**{**each, **{key: tuple(Seen(**row) for row in each[key]) for key in ("recent", "memories")}})
        for each in reply["answers"]
    )
    return Recalled(reply["pid"], tuple(reply["view"]), reply["stats"], answers)


def respond(request: Mapping[str, Any]) -> dict[str, Any]:
    """Answer one request; an error of ctxkit becomes an answer, too."""
    from ctxkit.config import Config, MemoryConfig  # noqa: PLC0415 - only the second process needs them
    from ctxkit.manager import ContextManager  # noqa: PLC0415
    from ctxkit.plugins import PluginRegistry  # noqa: PLC0415

    try:
        registry = PluginRegistry.discover()
        for plugin in request["plugins"]:
            registry.load_path(plugin)
        config = Config(memory=MemoryConfig(**request["memory"]))
        with ContextManager(config, path=request["store"], registry=registry) as manager:
            answers = [_answer(manager, question, request["budget"]) for question in request["questions"]]
            view = [turn.id for turn in manager.short_term_memory.turns]
            return {"pid": os.getpid(), "view": view, "stats": manager.get_stats(), "answers": answers}
    except CtxkitError as exc:
        return {"error": exc.message, "fix": exc.fix}


def _answer(manager: Any, question: str, budget: int) -> dict[str, Any]:
    result = manager.build(question, budget=budget)

    def seen(part: str) -> list[dict[str, Any]]:
        return [
            {
                "id": row.id,
                "text": row.text,
                "tokens": row.tokens,
                "score": row.final,
                "source": row.source,
                "timestamp": row.timestamp,
            }
            for row in result.kept(part)
        ]

    return {
        "question": question,
        "text": result.text,
        "tokens": result.tokens,
        "budget": result.budget,
        "parts": result.parts,
        "considered": len(result.ledger),
        "recent": seen("recent"),
        "memories": seen("memory"),
        "summaries": len(result.kept("summary")),
    }


if __name__ == "__main__":
    # A plugin that prints must not get into the reply.
    with redirect_stdout(sys.stderr):
        reply = respond(json.load(sys.stdin))
    sys.stdout.write(json.dumps(reply))
