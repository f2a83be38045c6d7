"""Draw docs/packages.svg, the packages of ``kani`` and what each imports, from the imports themselves.

``python -m tests.package_drawing > docs/packages.svg``. An arrow that follows from others is left
out: where A imports B and B imports C, no arrow leads from A to C.
"""

from functools import cache
from html import escape
from pathlib import Path

from tests.running.sources import ROOT, modules_imported

ROWS = (
    {"cli": "kani-tts, the scripts", "ray": "servers on a cluster"},
    {"library": "from kani import Speech", "server": "ports, access, metrics"},
    {"composition": "settings, speech service"},
    {"protocols": "one wire protocol each"},
    {"books": "audiobooks", "engines": "one engine each"},
    {"runtime": "weights, devices, processes"},
    {"core": "requests, sessions, voices"},
    {"text": "markup, segments, languages"},
)
"""Packages from the ones that nothing imports to those that import nothing, and what is in each."""
ABOUT = {name: about for row in ROWS for name, about in row.items()}
FOLDERS = {name: f"kani/{name}" for name in ABOUT} | {"text": "kani_text"}

_WIDTH, _BOX_WIDTH, _BOX_HEIGHT, _LAYER = 640, 180, 44, 84


@cache
def imports() -> dict[str, frozenset[str]]:
    """Return which other packages of ``kani`` each package imports."""
    return {name: frozenset(_imported(ROOT / folder)) - {name} for name, folder in FOLDERS.items()}


def _imported(folder: Path) -> set[str]:
    modules = set().union(*(modules_imported(file) for file in folder.rglob("*.py")))
    places = {name.replace(".", "/") + "/" for name in modules}
    return {name for name, folder in FOLDERS.items() if any(one.startswith(f"{folder}/") for one in places)}


def arrows() -> set[tuple[str, str]]:
    """Return the arrows that do not follow from others."""
    graph = {name: set(targets) for name, targets in imports().items()}
    return {
        (name, to)
        for name, targets in graph.items()
        for to in targets
        if not any(_reaches(graph, other, to) for other in targets - {to})
    }


def _reaches(graph: dict[str, set[str]], name: str, to: str) -> bool:
    return to in graph[name] or any(_reaches(graph, other, to) for other in graph[name])


def drawing() -> str:
    """Return the SVG."""
    places: dict[str, tuple[float, int]] = {}
    for row, names in enumerate(ROWS):
        gap = _WIDTH / len(names)
        for at, name in enumerate(names):
            above = [places[by][0] for by, to in sorted(arrows()) if to == name]
            x = sum(above) / len(above) if above and len(names) == 1 else gap * (at + 0.5)
            places[name] = (x, 12 + row * _LAYER)
    height = 12 + (len(ROWS) - 1) * _LAYER + _BOX_HEIGHT + 12
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" '
        'font-family="sans-serif" font-size="12" text-anchor="middle" role="img" '
        'aria-label="Packages of kani and what they import">',
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0L8 4L0 8z" fill="#57606a"/></marker></defs>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
    ]
    for name, to in sorted(arrows()):
        (x, y), (to_x, to_y) = places[name], places[to]
        line = f"M{x:g} {y + _BOX_HEIGHT:g}L{to_x:g} {to_y:g}"
        parts.append(f'<path d="{line}" stroke="#57606a" marker-end="url(#tip)"/>')
    for name, (x, y) in places.items():
        parts += [
            f'<rect x="{x - _BOX_WIDTH / 2:g}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6" '
            'fill="#ddf4ff" stroke="#1f6feb"/>',
            f'<text x="{x:g}" y="{y + 18}" font-weight="bold" fill="#1f2328">{FOLDERS[name]}</text>',
            f'<text x="{x:g}" y="{y + 35}" fill="#57606a">{escape(ABOUT[name])}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    print(drawing(), end="")
