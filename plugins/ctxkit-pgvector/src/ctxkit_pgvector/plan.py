"""What is asked of the server, as generators that a synchronous and an asynchronous connection drive alike.

A plan yields steps and is sent their rows; what it returns is the result. So each operation is written once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeAlias, TypeVar

import psycopg
from psycopg.sql import Composed

ResultT = TypeVar("ResultT")
Query: TypeAlias = str | Composed
Rows: TypeAlias = list[tuple[Any, ...]]
_COPIED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class Ask:
    """One statement; sent its rows, or [(number of rows it changed,)] where it returns none."""

    sql: Query
    values: Sequence[Any] = ()


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


class Course(Generic[ResultT]):
    """How far a plan is: gives each next step, and hears what became of it."""

    def __init__(self, plan: Plan[ResultT]) -> None:
        self._plan = plan
        self.result: ResultT

    def first(self) -> Step | None:
        """Return the first step, None when there is none."""
        return self._next(lambda: next(self._plan))

    def answered(self, rows: Rows) -> Step | None:
        """Return the step after this answer, None at the end."""
        return self._next(lambda: self._plan.send(rows))

    def failed(self, error: BaseException) -> Step | None:
        """Return the step after this failure; a plan that does not expect it raises it."""
        return self._next(lambda: self._plan.throw(error))

    def _next(self, move: Callable[[], Step]) -> Step | None:
        try:
            return move()
        except StopIteration as end:
            self.result = end.value
            return None


def drive(connection: psycopg.Connection[Any], plan: Plan[ResultT]) -> ResultT:
    """Follow a plan on a connection."""
    course = Course(plan)
    with connection.cursor(binary=True) as cursor:
        step = course.first()
        while step is not None:
            try:
                if isinstance(step, Ask):
                    cursor.execute(step.sql, step.values or None)
                elif isinstance(step, Each):
                    cursor.executemany(step.sql, step.rows)
                else:
                    with cursor.copy(step.sql) as copy:
                        for row in step.rows:
                            copy.write_row(row)
                rows = cursor.fetchall() if _has_rows(cursor) else [(cursor.rowcount,)]
            except psycopg.Error as error:
                step = course.failed(error)
            else:
                step = course.answered(rows)
    return course.result


async def drive_async(connection: psycopg.AsyncConnection[Any], plan: Plan[ResultT]) -> ResultT:
    """Follow a plan on an asynchronous connection; in a long step the loop goes on now and then."""
    course = Course(plan)
    async with connection.cursor(binary=True) as cursor:
        step = course.first()
        while step is not None:
            try:
                if isinstance(step, Ask):
                    await cursor.execute(step.sql, step.values or None)
                elif isinstance(step, Each):
                    await cursor.executemany(step.sql, step.rows)
                else:
                    async with cursor.copy(step.sql) as copy:
                        for number, row in enumerate(step.rows):
                            await copy.write_row(row)
                            if number % _COPIED_AT_ONCE == 0:
                                await asyncio.sleep(0)
                rows = await cursor.fetchall() if _has_rows(cursor) else [(cursor.rowcount,)]
            except psycopg.Error as error:
                step = course.failed(error)
            else:
                step = course.answered(rows)
    return course.result


def _has_rows(cursor: psycopg.Cursor[Any] | psycopg.AsyncCursor[Any]) -> bool:
    """Whether the last statement returns rows; asked of the answer itself, as describing its columns takes long."""
    return cursor.pgresult is not None and cursor.pgresult.nfields > 0
