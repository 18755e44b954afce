"""What is asked of the server, as generators that a synchronous and an asynchronous connection drive alike.

A plan yields steps and is sent their rows; what it returns is the result. So each operation is written once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import psycopg
from psycopg.sql import Composed

ResultT = TypeVar("ResultT")
Query: TypeAlias = str | Composed
Rows: TypeAlias = list[tuple[Any, ...]]
_COPIED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Ask:
    """One statement; sent its rows, or [(number of rows it changed,)] where it returns none.

    One that is asked often keeps its plan, unless `prepared` is False.
    """

    sql: Query
    values: Sequence[Any] = ()
    prepared: bool | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """One statement for each of several rows of values, sent without waiting for one another's answers."""

    sql: Query
    rows: Sequence[Sequence[Any]]


@dataclass(frozen=True, slots=True)
class Copy:
    """Rows into a table, by COPY in binary form."""

    sql: Query
    rows: Iterable[Sequence[Any]]


Step: TypeAlias = Ask | Each | Copy
Plan: TypeAlias = Generator[Step, Rows, ResultT]


def drive(connection: psycopg.Connection[Any], plan: Plan[ResultT]) -> ResultT:
    """Follow a plan on a connection; it is told what fails, and a plan that does not expect that raises it."""
    with connection.cursor(binary=True) as cursor:
        try:
            step = next(plan)
            while True:
                try:
                    rows = _taken(cursor, step)
                except psycopg.Error as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(rows)
        except StopIteration as end:
            result: ResultT = end.value
            return result


def _taken(cursor: psycopg.Cursor[Any], step: Step) -> Rows:
    if isinstance(step, Ask):
        cursor.execute(step.sql, step.values or None, prepare=step.prepared)
    elif isinstance(step, Each):
        cursor.executemany(step.sql, step.rows)
    else:
        with cursor.copy(step.sql) as copy:
            for row in step.rows:
                copy.write_row(row)
    return cursor.fetchall() if _has_rows(cursor) else [(cursor.rowcount,)]


async def drive_async(connection: psycopg.AsyncConnection[Any], plan: Plan[ResultT]) -> ResultT:
    """Follow a plan on an asynchronous connection; in a long step the loop goes on now and then."""
    async with connection.cursor(binary=True) as cursor:
        try:
            step = next(plan)
            while True:
                try:
                    rows = await _taken_async(cursor, step)
                except psycopg.Error as error:
                    step = plan.throw(error)
                else:
                    step = plan.send(rows)
        except StopIteration as end:
            result: ResultT = end.value
            return result


async def _taken_async(cursor: psycopg.AsyncCursor[Any], step: Step) -> Rows:
    if isinstance(step, Ask):
        await cursor.execute(step.sql, step.values or None, prepare=step.prepared)
    elif isinstance(step, Each):
        await cursor.executemany(step.sql, step.rows)
    else:
        async with cursor.copy(step.sql) as copy:
            for number, row in enumerate(step.rows):
                await copy.write_row(row)
                if number % _COPIED_AT_ONCE == 0:
                    await asyncio.sleep(0)
    return await cursor.fetchall() if _has_rows(cursor) else [(cursor.rowcount,)]


def _has_rows(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> bool:
    """Whether the last statement returns rows; asked of the answer itself, as describing its columns takes long."""
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0
