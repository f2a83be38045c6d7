"""Quotations in another language: the words that whisper base hears of them, and of the text around them.

Each part is cut out by the times of its words and heard in its own language. The speaker's likeness is the
cosine between the embeddings of both parts.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np
import soxr

from benchmarks import single_engine
from benchmarks.report import report_section, table
from kani.core.service import SpeechService
from kani.core.session.context import Terms
from kani.core.types import Samples, SpeechRequest
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from kani_text.normalizer import NormalizerOptions, normalize
from tests.judges.judge import WHISPER_RATE, hear

TEXTS = Path(__file__).parents[1] / "texts" / "quotations.txt"
GAP_S = 0.5
"""Silence for the passage, in what is heard of the text around it."""
MARGIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Quoting:
    """A text, and its passage in another language: characters [start, end)."""

    language: str
    passage_language: str
    text: str
    start: int
    end: int

    def parts(self) -> tuple[str, str]:
        """The passage, and what is around it."""
        return self.text[self.start : self.end], f"{self.text[: self.start]} {self.text[self.end :]}"


def read(file: Path) -> Iterator[Quoting]:
    """Read the texts of a file: both languages, and the text with its passage in [[ ]], between tabs."""
    for line in file.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            own, other, text = line.split("\t")
            before, _, rest = text.partition("[[")
            inside, _, after = rest.partition("]]")
            yield Quoting(own, other, before + inside + after, len(before), len(before) + len(inside))


def has_word(text: str) -> bool:
    """True for a span that is more than marks and white space."""
    return any(map(str.isalnum, text))


def words_of(text: str, language: str) -> list[str]:
    """The words of a text as it is read, with numbers written out."""
    return re.findall(r"[^\W_]+", normalize(text, options=NormalizerOptions(language)).text.lower())


def heard_words(samples: Samples, rate: int, said: str, language: str) -> tuple[int, int]:
    """The words of ``said`` that are heard, in their order, and all of them."""
    words, heard = words_of(said, language), words_of(hear(samples, rate, language), language)
    matched = SequenceMatcher(None, words, heard, autojunk=False).get_matching_blocks()
    return sum(block.size for block in matched), len(words)


async def spoken(
    service: SpeechService, quoting: Quoting, voices: dict[str, str]
) -> tuple[Samples, Samples, int]:
    """Speak a text; returns the sound of the passage and of what is around it, and their sample rate."""
    request = SpeechRequest(language=quoting.language, voices=voices)
    async with service.open(request, protocol="benchmark", terms=Terms()) as session:
        session.feed(quoting.text)
        session.finish()
        chunks = [chunk async for chunk in session]
    rate, samples = chunks[0].sample_rate, np.concatenate([chunk.samples for chunk in chunks])
    spans = [span for chunk in chunks for span in chunk.spans]

    def sound(start: int, end: int) -> Samples:
        times = [
            time
            for span in spans
            if span.start < end and start < span.end and has_word(quoting.text[span.start : span.end])
            for time in (span.start_s, span.end_s)
        ]
        if not times:
            return np.zeros(0, np.float32)
        return samples[round(max(times[0] - MARGIN_S, 0) * rate) : round((times[-1] + MARGIN_S) * rate)]

    gap = np.zeros(round(GAP_S * rate), np.float32)
    around = [sound(0, quoting.start), gap, sound(quoting.end, len(quoting.text))]
    return sound(quoting.start, quoting.end), np.concatenate(around), rate


async def measured(texts: Sequence[Quoting], *, native: bool, show: bool) -> None:
    """Print the words heard of each pair of languages, and the speaker's likeness."""
    encoder, counts = SpeakerEncoder(), defaultdict[str, Counter[str]](Counter)
    likenesses = defaultdict[str, list[float]](list)
    async with single_engine.started_engine("kokoro") as engine, single_engine.service_of(engine) as service:
        for quoting in texts:
            default = engine.info.default_voices[quoting.passage_language]
            voices = {quoting.passage_language: default} if native else {}
            inside, around, rate = await spoken(service, quoting, voices)
            passage, rest = quoting.parts()
            got, words = heard_words(inside, rate, passage, quoting.passage_language)
            got_around, words_around = heard_words(around, rate, rest, quoting.language)
            one, other = (encoder.embed(soxr.resample(part, rate, WHISPER_RATE)) for part in (inside, around))
            likeness = float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))
            for pair in (f"{quoting.language} {quoting.passage_language}", "all"):
                counts[pair] += Counter(got=got, of=words, around=got_around, of_around=words_around)
                likenesses[pair].append(likeness)
            if show:
                print(
                    f"{got} of {words}, {got_around} of {words_around}, {likeness:.2f}: {quoting.text}",
                    flush=True,
                )
    rows = [
        [pair, f"{n['got']} of {n['of']}", f"{n['around']} of {n['of_around']}",
         f"{np.mean(likenesses[pair]):.2f}"]
        for pair, n in counts.items()
    ]  # fmt: skip
    print(table(("languages", "words of passages", "words around", "likeness"), rows), flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.languages.quotations", description=__doc__)
    parser.add_argument("file", nargs="?", type=Path, default=TEXTS, help="other texts, in the same form")
    parser.add_argument("--native", action="store_true", help="passages by their language's default voice")
    parser.add_argument("--show", action="store_true", help="print each text")
    chosen = parser.parse_args()
    with report_section("Quotations in another language", "faster-whisper"):
        asyncio.run(measured(list(read(chosen.file)), native=chosen.native, show=chosen.show))


if __name__ == "__main__":
    main()
