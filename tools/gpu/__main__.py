"""Prove on a GPU, in ten minutes, everything of this repository that needs one.

    python -m tools.gpu                       # all parts, on CUDA; results in gpu-results.jsonl
    python -m tools.gpu --cpu-small           # all parts with tiny sizes on a CPU, in two minutes
    python -m tools.gpu --record              # on a CPU: what the exact parts compare with

Parts run in processes of their own, in order of worth, each no longer than its share of the time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from tools.gpu import needs
from tools.gpu.results import Case, append


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the program."""

    about: str
    run: str  # module and function
    seconds: float  # the longest that it may take on a GPU


PARTS = {
    "exact": Part("Kani's logits, codes and samples; graphs, joins, cancels", "exact:first_model", 150),
    "streams": Part("1 to 1,024 voices at once, and where the time goes", "streams:many_streams", 200),
    "cloning": Part("KaniTTS-2 with speakers", "exact:second_model", 80),
    "student": Part("training of a student voice", "student:train", 70),
    "recognition": Part("Whisper by CTranslate2", "recognition:recognise", 40),
    "joining": Part("an engine that joins --engine auto, and the server itself", "joining:join", 100),
}
_SECONDS, _RECORDING_S = 570.0, 1500.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tools.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cpu-small", action="store_true", help="tiny sizes, on the CPU")
    parser.add_argument("--record", action="store_true", help="write the references anew, on the CPU")
    parser.add_argument("--out", type=Path, default=Path("gpu-results.jsonl"), help="file of the results")
    parser.add_argument("--work", type=Path, help="folder of the models (default: a temporary one)")
    parser.add_argument(
        "--parts", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART", help=", ".join(PARTS)
    )
    parser.add_argument("--whisper", help="folder of a Whisper checkpoint for CTranslate2")
    parser.add_argument("--part", choices=[*PARTS, "record"], help=argparse.SUPPRESS)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)
    return parser.parse_args()


def _run_part(given: argparse.Namespace) -> None:
    """Run one part in this process; a failure is a result."""
    device = torch.device("cpu" if given.cpu_small or given.part == "record" else "cuda")
    torch.set_num_threads(1 if given.cpu_small else torch.get_num_threads())
    options = {"whisper": given.whisper} if given.whisper else {}
    case = Case(given.part, given.cpu_small, device, given.work, given.out, given.until, options)
    begun = time.monotonic()
    try:
        if given.part == "record":
            from tools.gpu import references

            file = given.work / "references.npz" if given.cpu_small else references.FILE
            case.write("recorded", **references.record(given.work, file, small=given.cpu_small))
        elif missing := needs.missing(needs.NEEDS[given.part]):
            case.write("left out", missing=missing)
        else:
            module, _, name = PARTS[given.part].run.partition(":")
            getattr(importlib.import_module(f"tools.gpu.{module}"), name)(case)
    except Exception as error:  # a part fails by itself, whatever fails in it
        traceback.print_exc()
        case.write("failed", ok=False, error=f"{type(error).__name__}: {error}")
    case.write("part", seconds=time.monotonic() - begun)


def _start_part(given: argparse.Namespace, part: str, work: Path, seconds: float) -> None:
    """Run a part in a process of its own; one that hangs is killed."""
    command = [
        sys.executable,
        "-m",
        "tools.gpu",
        "--part",
        part,
        "--work",
        str(work),
        "--out",
        str(given.out),
    ]
    command += ["--until", str(time.time() + seconds - 5)]
    command += ["--cpu-small"] if given.cpu_small else []
    command += ["--whisper", given.whisper] if given.whisper else []
    process = subprocess.Popen(command, process_group=0)  # noqa: S603 - itself
    try:
        if code := process.wait(seconds):
            append(given.out, {"part": part, "check": "died", "ok": False, "code": code})
    except subprocess.TimeoutExpired:
        append(given.out, {"part": part, "check": "stopped", "ok": False, "after_s": seconds})
    finally:
        # With what it started, a server say.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _machine(given: argparse.Namespace) -> None:
    found = {"python": platform.python_version(), "torch": torch.__version__}
    if torch.cuda.is_available():
        found |= {"gpu": torch.cuda.get_device_name(), "cuda": str(torch.version.cuda)}
    append(given.out, {"part": "all", "check": "machine", **found})


def _summary(file: Path) -> int:
    """Print what did not hold; the number of these lines."""
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    bad = [line for line in lines if line.get("ok") is False]
    left = [line for line in lines if line["check"] == "left out"]
    print(f"\n{sum(line.get('ok') is True for line in lines)} checks hold, {len(bad)} do not: {file}")
    for line in (*bad, *left):
        print("  ", json.dumps(line, ensure_ascii=False))
    return len(bad)


def main() -> int:
    """Run the command line; the exit code is 0 if all checks hold that could be made."""
    given = _arguments()
    if given.part:
        _run_part(given)
        return 0
    if not (given.cpu_small or given.record or torch.cuda.is_available()):
        print(
            f"torch {torch.__version__} finds no CUDA device: --cpu-small runs without one", file=sys.stderr
        )
        return 2
    given.out.unlink(missing_ok=True)
    _machine(given)
    with tempfile.TemporaryDirectory(prefix="kani-gpu-") as temporary:
        work = given.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        if given.record or given.cpu_small:
            _start_part(given, "record", work, _RECORDING_S)
        end = time.monotonic() + (_RECORDING_S if given.cpu_small else _SECONDS)
        for name in () if given.record else given.parts:
            left_s = end - time.monotonic()
            if left_s < 10:
                append(given.out, {"part": name, "check": "left out", "missing": ["time"]})
                continue
            # On a CPU only what hangs is stopped.
            _start_part(given, name, work, left_s if given.cpu_small else min(PARTS[name].seconds, left_s))
    return min(_summary(given.out), 1)


if __name__ == "__main__":
    raise SystemExit(main())
