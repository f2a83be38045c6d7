"""Line charts as SVG: text without fonts or scripts of its own, equal for equal points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 40, 50
_COLOURS = ("#1f6feb", "#bc4c00", "#57606a")
_STEPS = (1, 2, 2.5, 5, 10)


def line_chart(title: str, x_label: str, y_label: str, lines: Mapping[str, Points]) -> str:
    """Return a chart of named lines, each of (x, y) points; both axes begin at 0; one of zeros ends at 1."""
    most = [max(point[axis] for points in lines.values() for point in points) or 1.0 for axis in (0, 1)]
    x_step, y_step = map(_step, most)
    x_most, y_most = map(_above, most, (x_step, y_step))

    def at(x: float, y: float) -> tuple[float, float]:
        across = _LEFT + x / x_most * (_WIDTH - _LEFT - _RIGHT)
        return round(across, 1), round(_HEIGHT - _BOTTOM - y / y_most * (_HEIGHT - _TOP - _BOTTOM), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{escape(title)}">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        _text(_WIDTH / 2, 20, title, "middle", "#1f2328", 14),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, x_label, "middle"),
        f'<g transform="rotate(-90 14 {_HEIGHT / 2:g})">{_text(14, _HEIGHT / 2, y_label, "middle")}</g>',
    ]
    for number in range(round(y_most / y_step) + 1):
        (left, y), (right, _) = at(0, number * y_step), at(x_most, number * y_step)
        parts.append(f'<path d="M{left} {y}H{right}" stroke="#d0d7de"/>')
        parts.append(_text(left - 6, y + 4, f"{number * y_step:g}", "end"))
    for number in range(round(x_most / x_step) + 1):
        x, bottom = at(number * x_step, 0)
        parts.append(_text(x, bottom + 18, f"{number * x_step:g}", "middle"))
    for number, (name, points) in enumerate(lines.items()):
        colour = _COLOURS[number]
        places = [at(x, y) for x, y in points]
        drawn = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline points="{drawn}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="4" fill="{colour}"/>' for x, y in places]
        parts.append(_text(_LEFT + 12, _TOP + 14 + 16 * number, name, "start", colour))
    return "\n".join([*parts, "</svg>", ""])


def _text(x: float, y: float, text: str, anchor: str, colour: str = "#57606a", size: int = 12) -> str:
    place = f'x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="{colour}" font-size="{size}"'
    return f"<text {place}>{escape(text)}</text>"


def _step(most: float) -> float:
    """Return the least round distance of at most six lines up to ``most``."""
    power = 1.0
    while power * 10 * 6 < most:
        power *= 10
    while power * 6 > most * 10:
        power /= 10
    return next(power * step for step in _STEPS if power * step * 6 >= most)


def _above(most: float, step: float) -> float:
    """Return the least multiple of ``step`` that is not below ``most``."""
    count = 1
    while count * step < most - 1e-9:
        count += 1
    return count * step
