"""Cost of Chinese, Japanese and Hindi at the start.

start: start to ready and memory with none of the three asked for, beside a server that has no packages for
    them, in turn.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Mapping
from pathlib import Path

from benchmarks.report import measure, median, mib, table
from benchmarks.server_process import Server
from kani.engines.kokoro.text.unspaced import chinese, japanese

STARTS = 3
PACKAGES = (*chinese.PACKAGES, *japanese.PACKAGES)

# Python imports this file at its start where its folder is in PYTHONPATH.
WITHOUT_PACKAGES = f"""
from importlib.machinery import PathFinder
find = PathFinder.find_spec
def without(name, *arguments):
    return None if name.partition(".")[0] in {PACKAGES} else find(name, *arguments)
PathFinder.find_spec = without
"""


def start() -> None:
    """Print start to ready and memory, with the packages of the languages and without, in turn."""
    found: dict[str, list[tuple[float, int]]] = {"with the packages": [], "without them": []}
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "sitecustomize.py").write_text(WITHOUT_PACKAGES, encoding="utf-8")
        environments: Mapping[str, Mapping[str, str]] = {
            "with the packages": {},
            "without them": {"PYTHONPATH": folder},
        }
        for _, name in itertools.product(range(STARTS), found):
            with Server(**environments[name]) as server:
                found[name].append((server.start_s, server.memory_bytes()))
    rows = [
        [
            name,
            f"{median([seconds for seconds, _ in starts]):.2f} s",
            ", ".join(f"{seconds:.2f}" for seconds, _ in starts),
            mib(median([size for _, size in starts])),
        ]
        for name, starts in found.items()
    ]
    head = ("all defaults", "start to ready, median", "all", "memory when ready")
    print(table(head, rows) + "\n", flush=True)


if __name__ == "__main__":
    measure("languages.costs", __doc__, "Cost of Chinese, Japanese and Hindi", {"start": start})
