"""Text fed as it is written, beside the same text fed whole: what is heard of it, and how long it takes.

Chinese and Japanese are fed two characters at a time, the others a word at a time, every 100 ms. The errors
are those of ``heard``; both ways of a sentence are heard in recordings of the same sentences.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections.abc import Sequence

import numpy as np

from benchmarks import single_engine
from benchmarks.kokoro.incremental import WHOLE, WRITTEN, Take, take
from benchmarks.languages import heard
from benchmarks.languages.heard import GAP_S, TOGETHER, transcribe, units
from benchmarks.report import median, report_section, table
from benchmarks.sentences import ABOUT_4_S, ABOUT_7_S, HELD_OUT
from kani.core.types import Samples
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from tests.judges.judge import edit_distance

LANGUAGES = ("zh", "ja", "hi", "de", "en", "es")
SENTENCES = {
    **heard.SENTENCES,
    **{language: (*HELD_OUT[language], *ABOUT_4_S[language], *ABOUT_7_S[language]) for language in HELD_OUT},
}
SHORTEST = {"zh": 12, "ja": 14, "hi": 24, "de": 30, "en": 30, "es": 30}
"""Characters of the shortest sentence that is fed: shorter ones are spoken whole in any case."""

_GAP = np.zeros(round(GAP_S * SAMPLE_RATE), np.float32)


def pieces(text: str, language: str) -> list[str]:
    """The text in the pieces it is fed in."""
    return re.findall("..?" if language in ("zh", "ja") else r"\S+\s*", text, re.DOTALL)


async def takes(languages: Sequence[str], count: int) -> dict[str, list[tuple[str, dict[str, Take]]]]:
    """Speak the first ``count`` long sentences of each language in both ways, in turn."""
    found: dict[str, list[tuple[str, dict[str, Take]]]] = {}
    async with (
        single_engine.started_engine("kokoro") as engine,
        single_engine.service_of(engine) as service,
    ):
        for language in languages:
            chosen = [text for text in SENTENCES[language] if len(text) >= SHORTEST[language]][:count]
            for text in chosen:
                fed = await take(service, language, text, whole=False, pieces=pieces(text, language))
                whole = await take(service, language, text, whole=True)
                found.setdefault(language, []).append((text, {WRITTEN: fed, WHOLE: whole}))
    return found


def wrong(texts: Sequence[str], spoken: Sequence[Samples], language: str) -> tuple[int, int]:
    """Wrong units of recordings, ``TOGETHER`` heard at a time, and all units."""
    bad = length = 0
    for at in range(0, len(texts), TOGETHER):
        samples = np.concatenate([part for one in spoken[at : at + TOGETHER] for part in (one, _GAP)])
        said = units(" ".join(texts[at : at + TOGETHER]), language)
        got = units(transcribe(samples, SAMPLE_RATE, language), language)
        bad += min(edit_distance(said, got), len(said))
        length += len(said)
    return bad, length


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.languages.fed", description=__doc__)
    parser.add_argument("languages", nargs="*", default=list(LANGUAGES), help="of zh, ja, hi, de, en and es")
    parser.add_argument("--count", type=int, default=24, help="sentences of each language")
    chosen = parser.parse_args()
    with report_section("Text fed as it is written, by language", "faster-whisper"):
        rows = []
        for language, both in asyncio.run(takes(chosen.languages, chosen.count)).items():
            texts = [text for text, _ in both]
            ratios = [len(ways[WRITTEN].samples) / len(ways[WHOLE].samples) for _, ways in both]
            errors = []
            for way in (WRITTEN, WHOLE):
                bad, length = wrong(texts, [ways[way].samples for _, ways in both], language)
                errors.append(f"{bad} of {length}: {bad / length:.1%}")
            span = f"{median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
            joints = sum(len(ways[WRITTEN].joints) for _, ways in both)
            rows.append((language, str(len(both)), *errors, span, str(joints)))
        head = ("language", "sentences", f"wrong, {WRITTEN}", f"wrong, {WHOLE}", "length ÷ whole", "joints")
        print(table(head, rows) + "\n\nGoal: not above; 0.95 to 1.08.\n", flush=True)


if __name__ == "__main__":
    main()
