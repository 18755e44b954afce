"""The support bot on PostgreSQL, its code unchanged: many worker processes, killed ones among them, judged by SQL."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from ctxkit_pgvector.server import PostgresServer

ROOT: Final = Path(__file__).parents[1]
TENANTS: Final = 6
PROGRAM: Final = """
import json, sys
from examples.support_bot.workers import answer_all
answers = answer_all(json.load(sys.stdin), int(sys.argv[1]), None)
json.dump([[vars(answer) for answer in each] for each in answers], sys.stdout)
"""
TURNS: Final = """
SELECT convert_from(text::bytea, 'UTF8'), (metadata ->> '_ctx_seq')::int, (metadata ->> '_ctx_order')::bigint
FROM {schema}.records_1 WHERE metadata ->> '_ctx_kind' = 'turn' AND metadata ->> 'user_id' = %s
ORDER BY metadata -> '_ctx_seq'
"""


@pytest.fixture(name="server", scope="module")
def _server() -> Iterator[PostgresServer]:
    """A server that may be killed."""
    started = PostgresServer()
    yield started
    started.stop()


def mark(tenant: str, number: int) -> str:
    """Return the word that only this message of this tenant has."""
    return f"{tenant}says{number}x"


def rounds_of(count: int, at_once: int) -> list[list[tuple[str, str]]]:
    """Return rounds of what tenants say: each tells its word, then asks for it again, so many times in a round."""
    tenants = [f"tenant{number}" for number in range(TENANTS)]
    rounds = [[(tenant, f"My word is {mark(tenant, 0)}.") for tenant in tenants]]
    for number in range(count):
        asked = range(1 + number * at_once, 1 + (number + 1) * at_once)
        rounds.append([(tenant, f"{mark(tenant, each)}: what is my word?") for each in asked for tenant in tenants])
    return rounds


class Bot:
    """The bot in a process of its own, which has workers, on a schema of the server."""

    def __init__(self, server: PostgresServer, schema: str, folder: Path) -> None:
        self._server = server
        self._schema = schema
        self._folder = folder

    def run(self, rounds: list[list[tuple[str, str]]], workers: int, deeds: dict[int, Callable[[Bot], None]]) -> Any:
        """Return the answers; each of `deeds` is done once as many turns are stored as its number says."""
        settings = {
            "CTXKIT_EMBEDDER__PROVIDER": "none",
            "CTXKIT_VECTOR_STORE__PROVIDER": "pgvector",
            "CTXKIT_VECTOR_STORE__CONNINFO": self._server.conninfo,
            "CTXKIT_VECTOR_STORE__SCHEMA_NAME": self._schema,
            "CTXKIT_VECTOR_STORE__POOL_SIZE": "2",
        }
        asked, said = self._folder / "asked", self._folder / "said"
        asked.write_text(json.dumps(rounds), encoding="utf-8")
        with asked.open() as source, said.open("w") as target:
            command = [sys.executable, "-c", PROGRAM, str(workers)]
            due = sorted(deeds)
            with subprocess.Popen(
                command, cwd=ROOT, env={**os.environ, **settings}, stdin=source, stdout=target
            ) as self._process:
                try:
                    while self._process.poll() is None:
                        if due and self._stored() >= due[0]:
                            deeds[due.pop(0)](self)
                        time.sleep(0.02)
                finally:
                    self._process.kill()
        assert not due, "it had ended before it was disturbed"
        assert self._process.returncode == 0
        return json.loads(said.read_text(encoding="utf-8"))

    def kill_a_worker(self) -> None:
        """Kill the newest worker."""
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text("ascii").split()
        workers = [child for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
        os.kill(int(workers[-1]), signal.SIGKILL)

    def restart_the_server(self) -> None:
        """Kill every process of the server, and start it again."""
        self._server.kill()

    def turns(self, tenant: str) -> list[tuple[str, int, int]]:
        """Return text, position and order of a tenant's turns, by position, as psycopg alone reads them."""
        with psycopg.connect(self._server.conninfo) as connection:
            return connection.execute(TURNS.format(schema=self._schema).encode(), [tenant]).fetchall()

    def _stored(self) -> int:
        try:
            return sum(len(self.turns(f"tenant{number}")) for number in range(TENANTS))
        except psycopg.Error:  # there is no table yet
            return 0


def judge(bot: Bot, rounds: list[list[tuple[str, str]]], answers: Any) -> None:
    """Each turn is there, once and in order, and each answer shows its tenant's word, and nothing of anybody else's."""
    for said, heard in zip(rounds, answers, strict=True):
        assert Counter(map(tuple, said)) == Counter((answer["tenant"], answer["question"]) for answer in heard)
        for answer in heard:
            shown = set(re.findall(r"tenant\d+says\d+x", f"{answer['text']} {answer['context']}"))
            assert all(word.startswith(f"{answer['tenant']}says") for word in shown), answer
            assert mark(answer["tenant"], 0) in shown, answer
    for tenant, _ in rounds[0]:
        turns = bot.turns(tenant)
        texts = iter(text for text, _, _ in turns)
        for said in rounds:
            own = [f"User: {text}\nAssistant: " for whose, text in said if whose == tenant]
            assert Counter(own) == Counter(next(texts) for _ in own)
        assert list(texts) == []
        assert [position for _, position, _ in turns] == list(range(len(turns)))
        orders = [order for _, _, order in turns]
        assert orders == sorted(set(orders))


def test_a_killed_worker_costs_no_turn_and_no_answer(server: PostgresServer, tmp_path: Path) -> None:
    """Another worker takes over what it was at work on; no tenant sees another one's memory."""
    bot, rounds = Bot(server, "few", tmp_path), rounds_of(2, 4)
    judge(bot, rounds, bot.run(rounds, 2, {8: Bot.kill_a_worker}))


@pytest.mark.slow
def test_eight_workers_are_killed_and_the_server_is_restarted(server: PostgresServer, tmp_path: Path) -> None:
    """Whatever dies, each turn that was answered is there once, in its order, and nobody else's."""
    bot, rounds = Bot(server, "many", tmp_path), rounds_of(16, 3)
    kills = dict.fromkeys(range(10, 230, 20), Bot.kill_a_worker)
    judge(bot, rounds, bot.run(rounds, 8, {**kills, 95: Bot.restart_the_server, 195: Bot.restart_the_server}))
