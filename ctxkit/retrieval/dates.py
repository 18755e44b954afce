"""Which days a question speaks of: "on 7 May 2023", "in June", "2023-05-07", "yesterday", "last week"."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from typing import Final

from ctxkit.retrieval.language import MONTHS

_YEAR = r"(?P<year>(?:19|20)\d\d)"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th)?"
_MONTH = rf"(?P<month>{'|'.join(name.capitalize() for name in MONTHS)})"
_ISO = re.compile(r"\b(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)\b")
# Months are written with a capital, or "may" and "march" would be among them.
_DAY_FIRST = re.compile(rf"\b(?:{_DAY}(?: of)? )?{_MONTH}(?:,? {_YEAR})?\b")
_MONTH_FIRST = re.compile(rf"\b{_MONTH} {_DAY}\b(?!:)(?:,? {_YEAR})?\b")
_AGO = re.compile(r"\b(\d{1,3}|an?|two|three|four|five|six) (day|week|month)s? ago\b", re.IGNORECASE)
_NEAR = re.compile(r"\b(today|yesterday|(?:this|last) (?:week|month|year))\b", re.IGNORECASE)
_NUMBERS: Final = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_REACH: Final = 7  # days; what happened is often told some days later


@dataclass(frozen=True, slots=True)
class Period:
    """Days from `first` to `last`, both included; without a `year` those of every year."""

    first: date
    last: date
    every_year: bool = False

    def closeness(self, timestamp: float) -> float:
        """Return 1 for a moment (seconds since the epoch) in the period, less up to a week beside it, then 0."""
        try:
            day = datetime.fromtimestamp(timestamp, tz=timezone.utc).date()
        except (OverflowError, OSError, ValueError):
            return 0.0
        years = range(day.year - 1, day.year + 2) if self.every_year else (self.first.year,)
        return max(self._closeness(day, year - self.first.year) for year in years)

    def _closeness(self, day: date, shift: int) -> float:
        first, last = (_moved(self.first, shift), _moved(self.last, shift)) if shift else (self.first, self.last)
        gap = max((first - day).days, (day - last).days, 0)
        return max(0.0, 1.0 - gap / _REACH)


def periods(question: str, now: float) -> list[Period]:
    """Return the periods that a question names; `now` (seconds since the epoch) is what "yesterday" counts from."""
    return [*_named(question), *_counted(question, now)]


def _named(question: str) -> Iterator[Period]:
    """Yield what is named by the calendar, an exact day before the month around it."""
    rest = question
    for pattern in (_ISO, _MONTH_FIRST, _DAY_FIRST):
        for found in pattern.finditer(rest):
            parts = found.groupdict()
            period = _period(parts.get("year"), parts["month"], parts.get("day"))
            if period is not None:
                yield period
        rest = pattern.sub(" ", rest)


def _period(year: str | None, month: str, day: str | None) -> Period | None:
    number = int(month) if month.isdigit() else MONTHS.index(month.lower()) + 1
    which = int(year) if year else 2000  # a leap year stands for every one
    try:
        if day is not None:
            first = last = date(which, number, int(day))
        else:
            first = date(which, number, 1)
            last = date(which, number, calendar.monthrange(which, number)[1])
    except ValueError:
        return None
    return Period(first, last, every_year=not year)


def _counted(question: str, now: float) -> Iterator[Period]:
    """Yield what is counted from today."""
    try:
        today = datetime.fromtimestamp(now, tz=timezone.utc).date()
        for number, unit in _AGO.findall(question):
            count = int(number) if number.isdigit() else _NUMBERS[number.lower()]
            days = {"day": 1, "week": 7, "month": 30}[unit.lower()]
            middle = today - timedelta(days=count * days)
            slack = timedelta(days=days // 2)
            yield Period(middle - slack, middle + slack)
        for phrase in _NEAR.findall(question):
            yield _near(phrase.lower(), today)
    except (OverflowError, OSError, ValueError):  # a moment that no calendar has
        return


def _near(phrase: str, today: date) -> Period:
    if phrase in ("today", "yesterday"):
        day = today - timedelta(days=phrase == "yesterday")
        return Period(day, day)
    which, unit = phrase.split()
    first = {
        "week": today - timedelta(days=today.weekday()),
        "month": today.replace(day=1),
        "year": today.replace(month=1, day=1),
    }[unit]
    if which == "this":
        return Period(first, today)
    last = first - timedelta(days=1)
    begin = {"week": first - timedelta(days=7), "month": last.replace(day=1), "year": last.replace(month=1, day=1)}
    return Period(begin[unit], last)


def _moved(day: date, years: int) -> date:
    """Return the same day of another year, the day before for 29 February where there is none."""
    year = day.year + years
    return date(year, day.month, min(day.day, calendar.monthrange(year, day.month)[1]))
