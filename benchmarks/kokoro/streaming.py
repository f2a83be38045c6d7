"""Kokoro in windows beside Kokoro decoded whole: latency and similarity.

first: first audio and last audio through the socket, beside the whole; stalls; words' times.
rival: the first audible sound, beside PyPI's kokoro-onnx on the same model file.
together: streams started at the same moment.
exact: in float32 a window's samples do not depend on the cuts.
likeness, seams, words: int8 windows against the int8 whole, every voice es, en and fr.
written: text fed word by word, beside the same text fed at once.
steps: sentences predicted in steps, beside the same sentences predicted as a whole.
start: time and memory of the first start and later ones.

DNSMOS, kokoro-onnx and the picture need another environment (tests/judges/requirements-judges.txt);
KANI_JUDGE_PYTHON names its python.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from benchmarks.kokoro import exact, incremental, quality, sockets, start
from benchmarks.report import report_section

PARTS: dict[str, Callable[[], None]] = {
    "first": sockets.first,
    "rival": sockets.rival,
    "together": sockets.together,
    "exact": exact.exact,
    "likeness": quality.likeness,
    "seams": quality.seams,
    "words": quality.words,
    "written": incremental.written,
    "steps": incremental.steps,
    "start": start.start,
}


def main() -> None:
    """The command line."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.kokoro.streaming",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    options.add_argument("part", nargs="*", help=f"which of {', '.join(PARTS)}; all, if none is named")
    options.add_argument("--spectrogram", type=Path, metavar="FILE.png", help="only draw seams, to this file")
    chosen = options.parse_args()
    if unknown := set(chosen.part) - set(PARTS):
        options.error(f"there is no part {', '.join(sorted(unknown))}")
    if chosen.spectrogram:
        quality.picture(chosen.spectrogram)
        return
    with report_section("Kokoro in windows", "faster-whisper"):
        for part in chosen.part or PARTS:
            PARTS[part]()


if __name__ == "__main__":
    main()
