"""Small plots as SVG: axes, markers and lines, drawn without a library."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ctxkit_conformance.report.page.markup import Markup, markup, tag

_RIGHT, _TOP, _BOTTOM = 18.0, 14.0, 42.0
_RADIUS: Final = 4.5
_COLOURS: Final = 8

Point = tuple[float, float]

# One shape and one colour for each component: neither is told by colour alone.
_SHAPES: Final[Sequence[Callable[[float], Sequence[Point]]]] = (
    lambda r: [(r * math.cos(a / 8 * math.tau), r * math.sin(a / 8 * math.tau)) for a in range(8)],
    lambda r: [(-r, -r), (r, -r), (r, r), (-r, r)],
    lambda r: [(0, -1.25 * r), (1.2 * r, r), (-1.2 * r, r)],
    lambda r: [(0, -1.4 * r), (1.4 * r, 0), (0, 1.4 * r), (-1.4 * r, 0)],
    lambda r: [(0, 1.25 * r), (1.2 * r, -r), (-1.2 * r, -r)],
    lambda r: [(-r, -1.3 * r), (0.2 * r, -1.3 * r), (1.3 * r, 0), (0.2 * r, 1.3 * r), (-r, 1.3 * r), (0, 0)],
)


@dataclass(frozen=True)
class Axis:
    """One axis: its range, whether it is logarithmic, what it measures, and how its figures are written."""

    low: float
    high: float
    label: str
    log: bool = False
    write: Callable[[float], str] = field(default=lambda value: f"{value:g}")
    at: Sequence[float] = ()

    def share(self, value: float) -> float:
        """Return where a value lies: 0 at the low end, 1 at the high one."""
        if self.log:
            low, high, value = math.log10(self.low), math.log10(self.high), math.log10(max(value, self.low / 10))
        else:
            low, high = self.low, self.high
        return (value - low) / (high - low)

    @property
    def ticks(self) -> list[float]:
        """The values that are written beside the axis: those of `at`, or round ones."""
        if self.at:
            return list(self.at)
        if not self.log:
            step = _step((self.high - self.low) / 5)
            first = math.ceil(self.low / step - 1e-9)
            return [n * step for n in range(first, math.floor(self.high / step + 1e-9) + 1)]
        decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        factors = (1,) if len(decades) > 4 else (1, 3) if len(decades) > 2 else (1, 2, 5)
        found = [factor * 10.0**decade for decade in decades for factor in factors]
        return [value for value in found if self.low * 0.999 <= value <= self.high * 1.001]


def log_axis(values: Iterable[float], label: str, write: Callable[[float], str] = "{:g}".format) -> Axis:
    """Return a logarithmic axis around the values, with some air at both ends."""
    kept = list(values)
    return Axis(min(kept) / 1.35, max(kept) * 1.35, label, log=True, write=write)


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)


@dataclass
class Plot:
    """A plot that is drawn part by part; `describe` is what somebody hears who cannot see it."""

    x: Axis
    y: Axis
    title: str
    describe: str
    width: float = 440.0
    height: float = 270.0
    left: float = 52.0
    _parts: list[Markup] = field(default_factory=list)
    _taken: list[tuple[float, float, float, float]] = field(default_factory=list)

    def place(self, x: float, y: float) -> Point:
        """Return the place of a point in the drawing."""
        wide, high = self.width - self.left - _RIGHT, self.height - _TOP - _BOTTOM
        return self.left + wide * self.x.share(x), self.height - _BOTTOM - high * self.y.share(y)

    def line(self, points: Sequence[Point], class_: str) -> None:
        """Join points by a line."""
        places = " ".join(f"{x:.1f},{y:.1f}" for x, y in (self.place(*point) for point in points))
        self._parts.append(tag("polyline", points=places, class_=f"line {class_}"))

    def mark(self, point: Point, number: int, told: str, *, hollow: bool = False) -> None:
        """Draw the marker of a component at a point; `told` is shown when it is pointed at."""
        x, y = self.place(*point)
        self._taken.append((x - 6, y - 6, x + 6, y + 6))
        self._parts.append(marker(number, x, y, told, hollow=hollow))

    def write(self, point: Point, text: str, class_: str = "") -> None:
        """Write beside a point, where there is room; else not at all."""
        x, y = self.place(*point)
        wide = 6.3 * len(text)
        for left, top, anchor in (
            (x + 8, y - 5, "start"),
            (x - 8 - wide, y - 5, "end"),
            (x - wide / 2, y - 19, "middle"),
            (x - wide / 2, y + 8, "middle"),
        ):
            box = (left, top, left + wide, top + 11)
            inside = left >= self.left and box[2] <= self.width - 2 and top >= 2 and box[3] <= self.height - _BOTTOM
            if inside and not any(_overlap(box, other) for other in self._taken):
                self._taken.append(box)
                at = {"start": left, "end": left + wide, "middle": x}[anchor]
                words = {"x": f"{at:.1f}", "y": f"{top + 9:.1f}", "text_anchor": anchor}
                self._parts.append(tag("text", text, class_=f"beside {class_}".strip(), **words))
                return

    def upright(self, x: float, text: str) -> None:
        """Draw a line from bottom to top, with what it stands for."""
        at, _ = self.place(x, self.y.low)
        self._parts.append(_straight(at, _TOP, at, self.height - _BOTTOM, "reference"))
        self._parts.append(tag("text", text, x=f"{at + 4:.1f}", y=f"{_TOP + 8:.1f}", class_="beside"))

    def drawn(self) -> Markup:
        """Return the plot."""
        frame = [
            *self._grid(),
            _straight(self.left, self.height - _BOTTOM, self.width - _RIGHT, self.height - _BOTTOM, "axis"),
        ]
        middle = self.left + (self.width - self.left - _RIGHT) / 2
        below = tag(
            "text", self.x.label, x=f"{middle:.1f}", y=f"{self.height - 8:.1f}", class_="label", text_anchor="middle"
        )
        turned = f"translate(13 {(self.height - _BOTTOM + _TOP) / 2:.1f}) rotate(-90)"
        aside = tag("text", self.y.label, transform=turned, class_="label", text_anchor="middle")
        return tag(
            "svg",
            tag("title", self.title),
            tag("desc", self.describe),
            frame,
            below,
            aside,
            self._parts,
            viewBox=f"0 0 {self.width:.0f} {self.height:.0f}",
            class_="plot",
            role="img",
            aria_label=f"{self.title}. {self.describe}",
        )

    def _grid(self) -> list[Markup]:
        found = []
        for value in self.x.ticks:
            at, _ = self.place(value, self.y.low)
            words = {"x": f"{at:.1f}", "y": f"{self.height - _BOTTOM + 15:.1f}", "text_anchor": "middle"}
            found.append(_straight(at, _TOP, at, self.height - _BOTTOM, "grid"))
            found.append(tag("text", self.x.write(value), class_="tick", **words))
        for value in self.y.ticks:
            _, at = self.place(self.x.low, value)
            words = {"x": f"{self.left - 7:.1f}", "y": f"{at + 3.5:.1f}", "text_anchor": "end"}
            found.append(_straight(self.left, at, self.width - _RIGHT, at, "grid"))
            found.append(tag("text", self.y.write(value), class_="tick", **words))
        return found


def marker(number: int, x: float, y: float, told: str = "", *, hollow: bool = False) -> Markup:
    """Return the marker of the component with this number."""
    corners = _SHAPES[number % len(_SHAPES)](_RADIUS)
    points = " ".join(f"{x + dx:.1f},{y + dy:.1f}" for dx, dy in corners)
    shape = f"marker k{number % _COLOURS}{' hollow' if hollow else ''}"
    return tag("polygon", tag("title", told) if told else None, points=points, class_=shape)


def key(entries: Sequence[tuple[int, str]], further: Sequence[tuple[str, str]] = ()) -> Markup:
    """Return which marker stands for which component; `further` are lines by class, with what they stand for."""
    marks = [
        tag("li", tag("svg", marker(number, 9, 8), viewBox="0 0 18 16", aria_hidden="true"), name)
        for number, name in entries
    ]
    lines = [
        tag("li", tag("svg", _straight(0, 8, 18, 8, class_), viewBox="0 0 18 16", aria_hidden="true"), name)
        for class_, name in further
    ]
    return tag("ul", marks, lines, class_="key-list")


def _straight(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    return tag("line", x1=f"{x1:.1f}", y1=f"{y1:.1f}", x2=f"{x2:.1f}", y2=f"{y2:.1f}", class_=class_)


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def figure(title: str, drawings: Sequence[Markup], *beneath: Markup | None) -> Markup:
    """Return a plot with its title above and its key and figures beneath."""
    return tag("figure", tag("figcaption", title), markup(drawings), *beneath)
