"""Word errors of the server's speech, by whisper-base.

The forty held-out sentences, each requested as a stream and as a whole. Where both have the same samples they
are transcribed once.
"""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass

import numpy as np

from benchmarks.playback_client import SAMPLE_RATE, connected, request_speech
from benchmarks.report import markdown, report_section, table
from benchmarks.sentences import HELD_OUT, mixed
from benchmarks.server_process import Server
from kani.core.types import Samples
from tests.judges.judge import hear, wrong_words


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence, and the answers, by kind of request."""

    language: str
    text: str
    audio: dict[str, Samples]


async def say_all(url: str) -> list[Said]:
    """Request every held-out sentence in both ways."""
    said = []
    async with connected(url) as websocket:
        for language, text in mixed(HELD_OUT):
            streamed = await request_speech(websocket, language, text)
            whole = await request_speech(websocket, language, text, streamed=False)
            said.append(Said(language, text, {"streamed": streamed.samples, "whole": whole.samples}))
    return said


def main() -> None:
    """Run the command line."""
    argparse.ArgumentParser(prog="python -m benchmarks.kokoro.words", description=__doc__).parse_args()
    with report_section("Words heard wrong by whisper-base", "faster-whisper"):
        with Server("--engine", "kokoro") as server:
            said = asyncio.run(say_all(server.url))
        counts: dict[tuple[str, str], list[tuple[int, int]]] = {}
        errors, same = [], 0
        for sentence in said:
            streamed, whole = sentence.audio["streamed"], sentence.audio["whole"]
            equal = np.array_equal(streamed, whole)
            same += equal
            heard = ""
            for way, samples in sentence.audio.items():
                if not (way == "whole" and equal):
                    heard = hear(samples, SAMPLE_RATE, sentence.language)
                wrong, words = wrong_words(sentence.text, heard, sentence.language)
                for language in (sentence.language, "both"):
                    counts.setdefault((way, language), []).append((wrong, words))
                if wrong and not (way == "whole" and equal):
                    errors.append(["both ways" if equal else way, str(wrong), sentence.text, heard])
        rows = []
        for (way, language), found in sorted(counts.items()):
            wrong, words = (sum(column) for column in zip(*found, strict=True))
            rows.append([way, language, str(len(found)), str(words), str(wrong), f"{wrong / words:.1%}"])
        print(table(("asked for", "language", "sentences", "words", "wrong", "word error rate"), rows))
        print(f"\n{same} of {len(said)} sentences are the same samples both ways.\n")
        if errors:
            # No part of the result: held-out sentences stand nowhere else.
            print(markdown(("asked for", "wrong", "to say", "heard"), errors))


if __name__ == "__main__":
    main()
