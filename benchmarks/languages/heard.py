"""Kokoro beside espeak-ng in eight languages: words wrong, DNSMOS.

Chinese is compared by characters (他, 她 and 它, which sound alike, count as one), and by syllables with
their tones, as Whisper chooses between characters that sound alike; Japanese by kana (kanji have several
spellings), Hindi by consonants (Whisper writes it in Urdu's script), the accented languages by words. Numbers
are written out on both sides.
Four sentences are heard at a time. They count at most as many errors as they have characters or words, so
that a recogniser that loops on one does not decide.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import os
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import soxr
from haqumei import Haqumei

from benchmarks import single_engine
from benchmarks.kokoro.student.judging import NO_JUDGE, mos_scores
from benchmarks.report import report_section, table
from benchmarks.sentences import LATER, SECOND
from kani.core.engine import Engine
from kani.core.types import Samples, Segment
from kani.engines.kokoro.network.onnx_model import SAMPLE_RATE
from kani.engines.kokoro.text.unspaced.chinese_readings import ChineseReadings
from kani_text.normalizer import NormalizerOptions, normalize
from tests.judges.judge import WHISPER_RATE, edit_distance, hindi_consonants, whisper
from tools.kokoro_data.sentences import ACCENTED

SENTENCES = {**LATER, **ACCENTED}

# Whisper chooses between ways of writing by its prompt: simplified characters.
_PROMPTS = {"zh": "以下是普通话的句子。"}

_MAX_TOKENS = 300
"""Tokens of a transcript: a recogniser that loops stops there."""

TOGETHER = 4
GAP_S = 0.7
"""Sentences in one recording, and the silence between them: Whisper hears 30 s in any case."""

_LOWER = str.maketrans("Iİ", "ıi")
_ALIKE = str.maketrans("她它", "他他")


@dataclass(slots=True)
class Heard:
    """Errors and lengths of one speaker's sentences, and their audio for the predicted opinion scores.

    wrong: of ``length`` units; wrong_sounds: of as many syllables, only in Chinese.
    """

    wrong: int = 0
    length: int = 0
    wrong_sounds: int = 0
    audio: list[Samples] = field(default_factory=list)


def units(text: str, language: str) -> list[str]:
    """Characters or words of a text for comparison."""
    options = NormalizerOptions(language=language)
    text = normalize(unicodedata.normalize("NFKC", text), options=options).text
    text = unicodedata.normalize("NFC", (text.translate(_LOWER) if language == "tr" else text).lower())
    if language == "ja":
        text = "".join(word.pron for word in _japanese().g2p_mapping_detailed(text)).replace("’", "")
    if language == "hi":
        return list(hindi_consonants(text))
    if language == "zh":
        text = _chinese().simplified(text).translate(_ALIKE)
    words = re.findall(r"[^\W_][\w\u0900-\u0963]*", text.replace("ё", "е"))
    return list("".join(words)) if language in LATER else words


def syllables(characters: Sequence[str]) -> list[str]:
    """The syllable of each Chinese character with its tone; other characters as they are."""
    run = "".join(characters)
    return [found or own for found, own in zip(_chinese().read(run)[1], run, strict=True)]


@functools.cache
def _chinese() -> ChineseReadings:
    return ChineseReadings()


@functools.cache
def _japanese() -> Haqumei:
    return Haqumei()


def transcribe(samples: Samples, sample_rate: int, language: str) -> str:
    """Transcribe by whisper-base, in the writing of the sentences."""
    audio = soxr.resample(np.asarray(samples, np.float32), sample_rate, WHISPER_RATE)
    segments, _ = whisper().transcribe(
        audio,
        language=language,
        beam_size=5,
        temperature=0.0,
        condition_on_previous_text=False,
        initial_prompt=_PROMPTS.get(language),
        max_new_tokens=_MAX_TOKENS,
    )
    return " ".join(segment.text.strip() for segment in segments)


async def measure(
    engine: Engine, language: str, voice: str, sentences: Sequence[str], *, show: bool
) -> Heard:
    """Let one voice speak the sentences, and compare what is heard."""
    found = Heard()
    gap = np.zeros(round(GAP_S * engine.info.sample_rate), np.float32)
    for at in range(0, len(sentences), TOGETHER):
        text, pieces = " ".join(sentences[at : at + TOGETHER]), []
        for sentence in sentences[at : at + TOGETHER]:
            async for chunk in engine.synthesize(Segment(sentence, voice, language)):
                pieces.append(chunk.samples)
            pieces.append(gap)
        samples = np.concatenate(pieces)
        heard = transcribe(samples, engine.info.sample_rate, language)
        said, got = units(text, language), units(heard, language)
        wrong = min(edit_distance(said, got), len(said))
        if show and wrong:
            print(f"{voice}: {wrong} of {len(said)}: {text} | {heard}", flush=True)
        found.wrong += wrong
        found.length += len(said)
        if language == "zh":
            found.wrong_sounds += min(edit_distance(syllables(said), syllables(got)), len(said))
        found.audio.append(soxr.resample(samples, engine.info.sample_rate, SAMPLE_RATE))
    return found


async def measured(
    languages: Sequence[str], voices: Sequence[str], count: int, *, second: bool, show: bool
) -> None:
    """Print a row for each language and speaker as soon as it is known."""
    head = ("language", "voice", "sentences", "wrong", "of", "error rate", "by sound", "DNSMOS")
    print(table(head, ()), flush=True)
    async with (
        single_engine.started_engine("kokoro") as kokoro,
        single_engine.started_engine("espeak") as espeak,
    ):
        for language in languages:
            default = kokoro.info.default_voices[language]
            speakers = [(kokoro, voice) for voice in voices or (default,)]
            if not voices:
                speakers.append((espeak, espeak.info.default_voices[language]))
            for engine, voice in speakers:
                sentences = (SECOND if second else SENTENCES)[language][:count]
                found = await measure(engine, language, voice, sentences, show=show)
                scores = await asyncio.to_thread(mos_scores, found.audio)
                mos = "–" if scores is None else f"{np.mean(scores):.2f}"
                counts = (str(len(sentences)), str(found.wrong), str(found.length))
                sound = f"{found.wrong_sounds / found.length:.1%}" if language == "zh" else "–"
                cells = (language, voice, *counts, f"{found.wrong / found.length:.1%}", sound, mos)
                print("| " + " | ".join(cells) + " |", flush=True)
                if scores is None:
                    print(f"DNSMOS: {NO_JUDGE}", flush=True)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.languages.heard", description=__doc__)
    parser.add_argument("languages", nargs="*", default=list(SENTENCES), help="subtags; all by default")
    parser.add_argument("--voices", default="", help="Kokoro's voices, instead of both engines' defaults")
    parser.add_argument("--count", type=int, default=40, help="sentences of each language")
    parser.add_argument("--second", action="store_true", help="the second forty sentences (Chinese)")
    parser.add_argument("--show", action="store_true", help="print each sentence with an error")
    chosen = parser.parse_args()
    if chosen.second and set(chosen.languages) - set(SECOND):
        parser.error("the second sentences are Chinese: name zh")
    os.environ["KANI_ACCENTED_LANGUAGES"] = ",".join(ACCENTED)
    with report_section("Languages: Kokoro and espeak-ng", "faster-whisper"):
        voices = [voice for voice in chosen.voices.split(",") if voice]
        asyncio.run(measured(chosen.languages, voices, chosen.count, second=chosen.second, show=chosen.show))


if __name__ == "__main__":
    main()
