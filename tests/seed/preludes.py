"""What the page leaves open: names that it uses and does not make, and something in memory for it to find.

Each prelude belongs to one block and runs before it. The page's own names are never replaced by other kinds of things:
a prelude adds what an application would have by then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest
from seed.stage import Stage

from ctxkit import Config, ContextManager, LLMConfig, MemoryConfig
from ctxkit.errors import AuthenticationFailedError
from ctxkit.llm.adapters import create_llm_adapter

Prelude = Callable[[Stage], None]
PRELUDES: Final[dict[str, Prelude]] = {}
TURNS: Final = (
    ("What is Python good for?", "Python is good for glue between systems."),
    ("And which Python do we run?", "We run Python on the build machine."),
    ("Who keeps the build machine?", "Ruth keeps the build machine."),
)


def before(key: str) -> Callable[[Prelude], Prelude]:
    """Run the function before the block of that key."""

    def keep(prelude: Prelude) -> Prelude:
        assert key not in PRELUDES
        PRELUDES[key] = prelude
        return prelude

    return keep


def talk(cm: ContextManager) -> None:
    """Have a conversation."""
    for question, answer in TURNS:
        cm.observe(question, answer)


@before("Slow Context Building 2")
def _the_page_imports_it_later(stage: Stage) -> None:
    """`LLMConfig` is used here and imported a few sections below."""
    stage.names["LLMConfig"] = LLMConfig


@before("Slow Memory Search 2")
def _three_memories(stage: Stage) -> None:
    """`ltm` is of the block before; queries want something to find."""
    for number in (1, 2, 3):
        stage.names["ltm"].add_memory(f"what query{number} is about")


@before("High Memory Usage 1")
def _a_conversation(stage: Stage) -> None:
    """`cm` is of a block above; figures want something to count."""
    talk(stage.names["cm"])
    stage.names["cm"].add_memory("Ruth is away in May.")


@before("STM Overflow 1")
def _a_nearly_full_view(stage: Stage) -> None:
    """The page's diagnosis is for a view that is nearly full: above 0.8 of its capacity, and not over it."""
    stage.names["cm"] = cm = ContextManager(Config(memory=MemoryConfig(stm_capacity=200, chunk_size=60)))
    while cm.short_term_memory.current_tokens <= 160:
        cm.observe("Where is the boat?", "At berth 14.")
    assert cm.short_term_memory.current_tokens <= 200


@before("LTM Index Issues 2")
def _what_matters(stage: Stage) -> None:
    """`important_memories` is the reader's own."""
    stage.names["important_memories"] = ["The boat is at berth 14.", "The key hangs by the door."]


@before("OpenAI API Issues 1")
def _an_adapter_a_prompt_and_an_error(stage: Stage) -> None:
    """`llm_adapter`, `prompt` and `e` are the reader's own; the adapter leaves trying again to the page."""
    adapter = create_llm_adapter("openai", max_retries=0)
    stage.names.update(llm_adapter=adapter, prompt="Where is the boat?")
    stage.provider_does("authentication")
    with pytest.raises(AuthenticationFailedError) as caught:
        adapter.generate_sync("?")
    stage.names["e"] = caught.value
    stage.provider_does()


@before("Network Connectivity Issues 1")
def _a_network_that_fails_twice(stage: Stage) -> None:
    """Backing off is for calls that fail: the connection is lost twice."""
    stage.slept.clear()
    stage.provider_does("reset", "reset")


@before("Debug Context Building 1")
def _a_conversation_about_python(stage: Stage) -> None:
    """The question is what was discussed about Python."""
    talk(stage.names["cm"])
    stage.names["cm"].add_memory("Python was discussed on Monday.")
