"""Checks that the key is sent to the provider, and shown nowhere else."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from ctxkit.errors import LLMError
from ctxkit_conformance.faults import Step, step
from ctxkit_conformance.llms import clauses
from ctxkit_conformance.llms.base import LLMChecks, Provider, every_way
from ctxkit_conformance.marks import covers


class SecretChecks(LLMChecks):
    """The key is searched for wherever a user may look, or send what they see."""

    @covers(clauses.SECRETS)
    def test_key_is_in_no_repr(self, provider: Provider) -> None:
        """A failure means that printing an adapter or its configuration prints the key."""
        scenario = provider.scenario()
        llm = provider.llm(scenario)
        provider.answers(llm, "complete")
        if not provider.offline:
            assert scenario.requests[0].key == provider.key, "the provider was not sent the key that was configured"
        config = provider.config(scenario.url(provider.wire))
        shown = {
            "repr of the adapter": repr(llm),
            "str of the adapter": str(llm),
            "format of the adapter": f"{llm}",
            "repr of the configuration": repr(config),
            "str of the configuration": str(config),
            "JSON of the configuration": config.model_dump_json(),
            "dump of the configuration": repr(config.model_dump()),
        }
        found = [where for where, text in shown.items() if provider.key in text]
        assert not found, f"the key stands in the {', '.join(found)}"

    @every_way
    @pytest.mark.parametrize("fault", ["ok", "authentication", "unavailable", "reset"])
    @covers(clauses.SECRETS)
    def test_key_is_in_no_log(
        self, provider: Provider, how: str, fault: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A failure means that whoever reads the logs can use the account."""
        scenario = provider.scenario(step(fault, headers={"retry-after-ms": "10"}))
        llm = provider.llm(scenario, max_retries=1 if fault == "unavailable" else 0)
        with _every_log() as logged:
            try:
                provider.ask(llm, how)
            except LLMError as error:
                logging.getLogger("ctxkit_conformance").exception("the call failed", exc_info=error)
            logging.getLogger("ctxkit_conformance").info("the adapter is %r", llm)
        text = "\n".join(logged)
        assert "the adapter is" in text, "nothing was logged at all"
        lines = [line for line in logged if provider.key in line]
        assert not lines, f"the key is logged: {lines[0].replace(provider.key, '(the key)')[:300]}"
        printed = "".join(capfd.readouterr())
        assert provider.key not in printed, "the key is printed"

    @every_way
    @pytest.mark.parametrize(
        "fault",
        [
            step("authentication"),
            step("authentication", repeat_key=True),
            step("bad_request", repeat_key=True),
            step("reset"),
            step("malformed"),
        ],
        ids=["rejected", "repeated", "repeated-400", "reset", "malformed"],
    )
    @covers(clauses.SECRETS)
    def test_key_is_in_no_error(self, provider: Provider, how: str, fault: Step) -> None:
        """A failure means that pasting a traceback into a bug report gives the key away."""
        llm = provider.llm(provider.scenario(fault))
        if provider.offline:
            provider.answers(llm, how)
            return
        with pytest.raises(LLMError) as caught:
            provider.ask(llm, how)
        for error in _chain(caught.value):
            for where, text in (("message", str(error)), ("repr", repr(error)), ("arguments", repr(error.args))):
                assert provider.key not in text, f"the key stands in the {where} of {type(error).__name__}"
        shown = "".join(traceback.format_exception(type(caught.value), caught.value, caught.value.__traceback__))
        assert provider.key not in shown, "the key stands in the traceback"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and those that are shown with it."""
    current: BaseException | None = error
    while current is not None:
        yield current
        hidden = current.__suppress_context__ and current.__cause__ is None
        current = None if hidden else current.__cause__ or current.__context__


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@contextmanager
def _every_log() -> Iterator[list[str]]:
    """Collect what every logger says, down to DEBUG, as long as the block runs."""
    kept = _Kept()
    known = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    loggers = [logging.root, *known]
    before = [(each, each.level, each.disabled) for each in loggers]
    for each in loggers:
        each.disabled = False
        each.setLevel(logging.DEBUG)
        if each is logging.root or not each.propagate:
            each.addHandler(kept)
    try:
        yield kept.lines
    finally:
        for each, level, disabled in before:
            each.removeHandler(kept)
            each.setLevel(level)
            each.disabled = disabled
