"""Accuracy and intelligibility of speech with a requested duration.

Forty held-out sentences, each at its natural length and then fitted to a share of that length, taken from the
shares in turn; word errors by whisper-base.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass
from itertools import cycle

from benchmarks.playback_client import SAMPLE_RATE, ReceivedSpeech, connected, request_speech
from benchmarks.report import percentile, report_section, table
from benchmarks.sentences import HELD_OUT, mixed
from benchmarks.server_process import Server
from tests.judges.judge import hear, wrong_words

SHARES = (0.62, 0.75, 0.9, 1.1, 1.3, 1.58)
ALL = "all"


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence at its natural length, and fitted to ``wanted_s``, which is ``share`` of that."""

    language: str
    text: str
    share: float
    wanted_s: float
    natural: ReceivedSpeech
    fitted: ReceivedSpeech

    @property
    def error(self) -> float:
        """Relative error of the length."""
        return abs(self.fitted.duration_s - self.wanted_s) / self.wanted_s


async def say_all(url: str) -> list[Said]:
    """Request every sentence, natural and fitted."""
    said = []
    async with connected(url) as websocket:
        for (language, text), share in zip(mixed(HELD_OUT), cycle(SHARES), strict=False):
            natural = await request_speech(websocket, language, text)
            wanted_s = round(share * natural.duration_s, 3)
            fitted = await request_speech(websocket, language, text, duration=wanted_s)
            said.append(Said(language, text, share, wanted_s, natural, fitted))
    return said


def heard_wrong(sentence: Said, heard: ReceivedSpeech) -> tuple[int, int]:
    """Word errors and number of words."""
    text = hear(heard.samples, SAMPLE_RATE, sentence.language)
    return wrong_words(sentence.text, text, sentence.language)


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.kokoro.duration", description=__doc__)
    options.add_argument("--engine", default="kokoro", choices=("kokoro", "espeak"), help="the engine")
    engine = options.parse_args().engine
    with report_section("Speech of an exact length", "faster-whisper"):
        with Server("--engine", engine) as server:
            said = asyncio.run(say_all(server.url))
        wrong = {
            id(sentence): (heard_wrong(sentence, sentence.natural), heard_wrong(sentence, sentence.fitted))
            for sentence in said
        }
        rows = []
        for share in (*SHARES, ALL):
            of_share = [sentence for sentence in said if share in (sentence.share, ALL)]
            natural, fitted = ([wrong[id(sentence)][way] for sentence in of_share] for way in (0, 1))
            rows.append(
                [
                    str(share),
                    str(len(of_share)),
                    f"{percentile([sentence.error for sentence in of_share], 50):.2%}",
                    f"{max(sentence.error for sentence in of_share):.2%}",
                    *(f"{sum(n for n, _ in way)} of {sum(n for _, n in way)}" for way in (natural, fitted)),
                ]
            )
        head = ("share of its own length", "sentences", "length off, median", "most")
        print(table((*head, "words wrong by itself", "words wrong fitted"), rows))


if __name__ == "__main__":
    main()
