"""LoCoMo's file: conversations in turns, and questions with the turns that hold their evidence."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Final

from ctxkit.errors import ConfigError

CATEGORIES: Final[Mapping[int, str]] = {1: "multi-hop", 2: "temporal", 3: "open-domain", 4: "single-hop"}
_SESSION = re.compile(r"session_(\d+)")
_TURN = re.compile(r"D:?(\d+):(\d+)")
_MOMENT = "%I:%M %p on %d %B, %Y"


@dataclass(frozen=True)
class Turn:
    """What somebody said: `text` is what counts as evidence, `caption` describes an image that was shared with it."""

    id: str
    session: str
    speaker: str
    text: str
    caption: str
    timestamp: float

    @property
    def memory(self) -> str:
        """The text that is remembered."""
        image = f" [shares image: {self.caption}]" if self.caption else ""
        return f"{self.speaker}: {self.text}{image}"


@dataclass(frozen=True)
class Asked:
    """A question, its category (1 to 4) and the texts of the turns that hold its evidence, at least one."""

    text: str
    category: int
    evidence: tuple[str, ...]


@dataclass(frozen=True)
class Conversation:
    """One conversation with the questions about it."""

    name: str
    turns: tuple[Turn, ...]
    questions: tuple[Asked, ...]


@dataclass(frozen=True)
class Locomo:
    """The conversations of a file, and the file's SHA-256."""

    name: str
    sha256: str
    conversations: tuple[Conversation, ...]


def load(path: Path, names: list[str]) -> Locomo:
    """Return the conversations of these names, all without any.

    A question counts when its category is 1 to 4 and some of its evidence exists. Raises ConfigError for a file that is
    not LoCoMo's and for a name that is not in it.
    """
    try:
        raw = path.read_bytes()
        found = {str(each["sample_id"]): each for each in json.loads(raw)}
        missing = sorted(set(names) - set(found))
        if missing:
            raise ConfigError(f"there is no conversation {', '.join(missing)}.", fix=f"choose from {', '.join(found)}.")
        chosen = tuple(_conversation(name, each) for name, each in found.items() if not names or name in names)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"{path} cannot be read as LoCoMo's: {type(error).__name__}: {error}."
        raise ConfigError(problem, fix="give the authors' locomo10.json, or some of its conversations.") from error
    return Locomo(path.name, hashlib.sha256(raw).hexdigest(), chosen)


def clean_ids(written: list[str]) -> list[str]:
    """Return the turns that evidence names: "D:11:26" is D11:26, "D8:6; D9:17" are two, "D30:05" is D30:5."""
    found = (match for each in written for match in _TURN.findall(each))
    return list(dict.fromkeys(f"D{int(session)}:{int(turn)}" for session, turn in found))


def _conversation(name: str, found: Mapping[str, Any]) -> Conversation:
    turns = tuple(_turns(found["conversation"]))
    texts = {turn.id: turn.text for turn in turns}
    questions = []
    for each in found["qa"]:
        evidence = tuple(texts[one] for one in clean_ids(each.get("evidence", [])) if one in texts)
        if each["category"] in CATEGORIES and evidence:
            questions.append(Asked(each["question"], each["category"], evidence))
    return Conversation(name, turns, tuple(questions))


def _turns(conversation: Mapping[str, Any]) -> Iterator[Turn]:
    numbers = sorted(int(match[1]) for key in conversation if (match := _SESSION.fullmatch(key)))
    for number in numbers:
        session = f"session_{number}"
        moment = datetime.strptime(conversation[f"{session}_date_time"], _MOMENT).replace(tzinfo=timezone.utc)
        for said in conversation[session]:
            caption = said.get("blip_caption") or ""
            yield Turn(said["dia_id"], session, said["speaker"], said["text"], caption, moment.timestamp())
