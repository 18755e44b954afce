"""The bot: one store for all tenants, and in it a scope for each that nobody else's search can enter."""

from __future__ import annotations

from dataclasses import dataclass

from ctxkit import Config, ContextManager
from ctxkit.llm import create_llm_adapter


@dataclass(frozen=True)
class Message:
    """What a tenant says, and how often that was tried to be answered in vain."""

    id: str
    tenant: str
    text: str
    tries: int = 0


@dataclass(frozen=True)
class Answer:
    """What a tenant was told, and the context that it was made of."""

    tenant: str
    question: str
    text: str
    context: str


class SupportBot:
    """Answers tenants from one store at `path`, or wherever the configuration keeps its vectors (None).

    Each tenant's manager has that tenant's `user_id`, which becomes part of every search and every write: forgetting
    to filter is not possible, because nobody filters by hand.
    """

    def __init__(self, config: Config, path: str | None) -> None:
        self._config = config
        self._path = path
        self._memories: dict[str, ContextManager] = {}
        self._model = create_llm_adapter(config.llm) if config.llm.model_fields_set else None

    def memory(self, tenant: str) -> ContextManager:
        """Return the memory of a tenant, opened when it is first needed."""
        if tenant not in self._memories:
            self._memories[tenant] = ContextManager(self._config, path=self._path, user_id=tenant)
        return self._memories[tenant]

    def handle(self, message: Message) -> Answer:
        """Answer a message and remember both; they are on disk when this returns.

        What was remembered by an earlier try, which then came to nothing, is answered in the same words.
        """
        memory = self.memory(message.tenant)
        known = memory.list_memories({"message_id": message.id}, limit=1) if message.tries else []
        context = memory.build(message.text)
        asked = f"User: {message.text}\nAssistant: "
        text = known[0].text.removeprefix(asked) if known else ""
        if not text:
            text = self._model.complete(context.messages).text if self._model else _quoted(memory, message.text, asked)
        if not known:
            said = text if self._model else ""  # what is quoted is in memory already
            memory.observe(message.text, said, turn_id=message.id, metadata={"message_id": message.id})
        return Answer(message.tenant, message.text, text, context.text)

    def close(self) -> None:
        """Release every memory and the model."""
        for memory in self._memories.values():
            memory.close()
        if self._model is not None:
            self._model.close()


def _quoted(memory: ContextManager, message: str, asked: str) -> str:
    """Return the best match in memory but the question itself: what stands in for a model that is not configured."""
    found = [text for text, _ in memory.query_memory(message, k=2) if not text.startswith(asked)]
    return f"On file: {found[0]}" if found else "Noted."
