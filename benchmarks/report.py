"""Reports in Markdown: tables of results, and the machine and versions they were measured on."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shlex
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import psutil

from websocket_config import VERSION

JUDGE_VARIABLE = "KANI_JUDGE_PYTHON"
"""Environment variable with the python of an environment of tests/judges/requirements-judges.txt."""

RESULT_VARIABLE = "BENCHMARK_RESULT"
"""Environment variable with a file: a section also writes itself there, as ``benchmarks/results`` has it."""

_notes: list[str] = []
_tables: list[dict[str, object]] = []

LIBRARIES = ("onnxruntime", "numpy", "websockets", "uvicorn")


def median(values: Sequence[float]) -> float:
    """Return the median."""
    return float(np.median(values))


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the least measured value that at least ``percent`` of all values do not exceed."""
    return float(np.percentile(values, percent, method="inverted_cdf"))


def ms(seconds: float) -> str:
    """Format ``0.01234`` as ``12.3 ms``; whole milliseconds from 100 on."""
    milliseconds = seconds * 1000
    return f"{milliseconds:.0f} ms" if abs(milliseconds) >= 100 else f"{milliseconds:.1f} ms"


def mib(size: float) -> str:
    """Format bytes as MiB."""
    return f"{size / 2**20:.0f} MiB"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, which becomes part of the section's result."""
    _tables.append({"head": list(head), "rows": [list(row) for row in rows]})
    return markdown(head, rows)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def processor() -> str:
    """Return the processor's name, from the system."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def instructions() -> str:
    """Return the processor's widest instructions for products of integers, on which speed depends most."""
    cpuinfo = Path("/proc/cpuinfo")
    flags = cpuinfo.read_text(encoding="utf-8").split() if cpuinfo.exists() else []
    for flag, name in (
        ("avx512_vnni", "AVX-512 with VNNI"),
        ("avx_vnni", "AVX2 with VNNI"),
        ("avx2", "AVX2"),
    ):
        if flag in flags:
            return name
    return platform.machine()


def versions(*more: str) -> str:
    """List the versions of this server, Python and the libraries, ``more`` included."""
    found = [f"this server {VERSION}", f"Python {platform.python_version()}"]
    for library in (*LIBRARIES, *more):
        try:
            found.append(f"{library} {version(library)}")
        except PackageNotFoundError:
            found.append(f"{library} not installed")
    return ", ".join(found)


def command() -> str:
    """Return the command that repeats this program."""
    program, root = Path(sys.argv[0]), Path(__file__).parents[1]
    if root in program.parents:
        module = ".".join(program.relative_to(root).with_suffix("").parts).removesuffix(".__main__")
        return shlex.join(["python", "-m", module, *sys.argv[1:]])
    return shlex.join(["python", *sys.argv])


def note(fact: str) -> None:
    """Add a fact about the measured system, which ``report_section`` prints once under its tables."""
    if fact not in _notes:
        _notes.append(fact)


@contextmanager
def report_section(title: str, *libraries: str) -> Iterator[None]:
    """Print the measured machine and versions, and at the end the processor share of other processes.

    With ``BENCHMARK_RESULT=FILE`` all of it, with the tables printed meanwhile, is also written to that file.
    Servers have to be stopped inside, so that their time counts as the benchmark's own.
    """
    # SIGTERM has to unwind the `with` blocks of the program, or its servers would outlive it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    print(f"## {title}\n")
    memory = mib(psutil.virtual_memory().total)
    machine = f"{processor()} ({instructions()}), {psutil.cpu_count()} cores, {memory}, {platform.system()}"
    facts = {
        "machine": machine,
        "versions": versions(*libraries),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "command": command(),
    }
    shown = [(name, f"`{fact}`" if name == "command" else fact) for name, fact in facts.items()]
    print(markdown(("measured on", ""), shown) + "\n", flush=True)
    _tables.clear()
    busy, own = _busy_s(), _own_s()
    started = datetime.now(UTC)
    yield
    wall_s = (datetime.now(UTC) - started).total_seconds() * (psutil.cpu_count() or 1)
    others = max(0.0, (_busy_s() - busy) - (_own_s() - own)) / wall_s
    if file := os.environ.get(RESULT_VARIABLE):
        result = {"title": title, **facts, "others": f"{others:.0%}", "notes": _notes, "tables": _tables}
        Path(file).write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    if _notes:
        print(f"\nMeasured with {'; '.join(_notes)}.")
        _notes.clear()
    print(f"\nOther processes had {others:.0%} of the processor meanwhile.\n", flush=True)


def measure(
    name: str, about: str | None, title: str, parts: Mapping[str, Callable[[], None]], *libraries: str
) -> None:
    """Run the command line of the program ``name``, which measures the named ``parts`` or all."""
    options = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=about,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("part", nargs="*", help=f"which of {', '.join(parts)}; all, if none is named")
    named = options.parse_args().part
    if unknown := set(named) - set(parts):
        options.error(f"there is no part {', '.join(sorted(unknown))}")
    with report_section(title, *libraries):
        for part in named or parts:
            parts[part]()


def _busy_s() -> float:
    """Return the processor seconds of all processes and of other guests of the host."""
    times = psutil.cpu_times()._asdict()
    # Guests are counted in user and nice already.
    return float(sum(times[kind] for kind in times if kind not in ("idle", "iowait", "guest", "guest_nice")))


def _own_s() -> float:
    """Return the processor seconds of this process and of its ended children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)
