"""The assistant: a repository in memory, kept up to date, and answers that name file and lines."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ctxkit import Config, ContextManager
from ctxkit.llm import create_llm_adapter


@dataclass(frozen=True)
class Place:
    """Where a passage of the context stands: lines count from 1, and None means that the file has changed since."""

    file: Path
    first: int | None
    last: int | None

    def __str__(self) -> str:
        return f"{self.file} (changed since)" if self.first is None else f"{self.file}:{self.first}-{self.last}"


@dataclass(frozen=True)
class Answer:
    """The model's words, empty without one, and the places that it was shown, the best first."""

    text: str
    places: list[Place]


@dataclass(frozen=True)
class Changes:
    """What an update did, in files."""

    stored: int
    unchanged: int
    removed: int
    skipped: int


class CodingAssistant:
    """Answers questions about the text files below `repository` from a memory at `store`.

    Each repository has a scope of its own, so one store may know many.
    """

    def __init__(self, repository: Path, store: Path, config: Config) -> None:
        self._repository = repository.resolve()
        self._memory = ContextManager(config, path=store, user_id=str(self._repository))
        self._model = create_llm_adapter(config.llm) if config.llm.model_fields_set else None

    def update(self) -> Changes:
        """Bring memory up to date: new and changed files are stored, those that are gone are erased."""
        report = self._memory.ingest_directory(self._repository)
        passages = self._memory.list_memories({"source_id": {"$exists": True}})
        known = {str(passage.metadata["source_id"]) for passage in passages}
        gone = [source for source in known if not Path(source).is_file()]
        if gone:
            self._memory.erase(where={"source_id": {"$in": gone}})
        return Changes(report.files, report.unchanged, len(gone), len(report.skipped))

    def ask(self, question: str) -> Answer:
        """Answer a question; what the model said is remembered, so that the next question can build on it."""
        context = self._memory.build(question, budget=4000)
        rows = sorted(context.kept("memory"), key=lambda row: row.final, reverse=True)
        places = [self._place(Path(row.source), row.text) for row in rows if row.source is not None]
        if self._model is None:
            return Answer("", places)
        text = self._model.complete(context.messages).text
        self._memory.observe(question, text)
        return Answer(text, places)

    def close(self) -> None:
        """Release the memory and the model."""
        self._memory.close()
        if self._model is not None:
            self._model.close()

    def _place(self, file: Path, passage: str) -> Place:
        """Return the lines where a passage, which memory keeps word for word, stands in its file now."""
        shown = file.relative_to(self._repository)
        passage = passage.strip().removesuffix("[...]").strip()  # a long one may be shown as its beginning
        text = file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""
        before, found, _ = text.partition(passage)
        if not found:
            return Place(shown, None, None)
        first = before.count("\n") + 1
        return Place(shown, first, first + found.count("\n"))
