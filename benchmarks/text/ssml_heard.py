"""Words wrong in the documented SSML of W3C, Azure, Google and Amazon, by whisper-base.

English is spoken by the student, or by the voice of ``--voice``. Both texts are normalised before they are
compared, letters that are spelled out may be written as one word, and Chinese is compared by its sounds: an
error is something else that was spoken or recognised. Most documents are a date or a number without a
sentence around it.
"""

from __future__ import annotations

import argparse
import io
import re
from dataclasses import dataclass
from functools import cache

import httpx2
import numpy as np
import soundfile

from benchmarks.report import report_section, table
from benchmarks.server_process import HOST, Server
from kani.engines.kokoro.text.unspaced.chinese_readings import ChineseReadings
from kani_text.normalizer import NormalizerOptions, normalize
from tests.judges.judge import edit_distance, hear
from tests.text.ssml.examples import SOURCES, Example

PROGRAM = "python -m benchmarks.text.ssml_heard"
VOICES = {"es": "ef_dora", "fr": "ff_siwis", "zh": "zf_xiaoxiao", "de": "espeak:de", "ru": "espeak:ru"}
PATIENCE_S = 120.0
SILENCE_S = 0.5
RUSSIAN = {"3": "три"}
"""Words of the figures, as there is no table of the language."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A document that was spoken; ``wrong`` of its ``words`` were recognised otherwise."""

    example: Example
    seconds: float
    unused: str
    heard: str
    wrong: int
    words: int


@cache
def _chinese() -> ChineseReadings:
    return ChineseReadings()


def said_words(text: str, language: str) -> list[str]:
    """Return the words that are compared; in Chinese the syllables, as many characters sound the same."""
    text = RUSSIAN.get(text, text) if language == "ru" else text
    written = normalize(text, 0, NormalizerOptions(language=language)).text.lower()
    # "Guión" and "guion" are both correct.
    words = re.findall(r"\w+", written.replace("ó", "o"))
    return _chinese().read("".join(words))[1] if language == "zh" else words


def compare(expected: str, heard: str, language: str) -> tuple[int, int]:
    """Return the number of wrong words, and of all.

    Figures that were recognised are read in the way that agrees best: "1999" was "nineteen ninety-nine" or
    "one thousand nine hundred ninety-nine", "230" was "two thirty".
    """
    said = said_words(expected, language)
    readings = (
        heard,
        re.sub(r"\d+", lambda found: f"{int(found[0]):,}", heard),
        re.sub(r"(\d{1,2})(\d\d)\b", r"\1 \2", heard),
        re.sub(r"\d", r" \g<0> ", heard).replace("-", " "),
    )
    found = [said_words(reading, language) for reading in readings]
    same = any("".join(said) == "".join(got) for got in found)
    return (0 if same else min(edit_distance(said, got) for got in found)), len(said)


def speak(client: httpx2.Client, example: Example, voice: str) -> Heard:
    """Have a document spoken, and recognise it."""
    language = example.language.partition("-")[0]
    body = {"input": example.text, "voice": VOICES.get(language, voice), "response_format": "wav"}
    answer = client.post("/v1/audio/speech", json=body).raise_for_status()
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    # Whisper omits and invents words at the edges of a second of speech without silence around it.
    heard = hear(np.pad(samples, round(SILENCE_S * rate)), rate, language)
    expected = " ".join(each for each in example.spoken if isinstance(each, str))
    unused = answer.headers.get("x-unused", "")
    return Heard(example, len(samples) / rate, unused, heard, *compare(expected, heard, language))


def report(found: dict[str, list[Heard]]) -> None:
    """Print the share of wrong words, and each document with one."""
    rows = []
    for source, documents in found.items():
        words, wrong = sum(each.words for each in documents), sum(each.wrong for each in documents)
        clean = sum(each.wrong == 0 for each in documents)
        named = sum(bool(each.unused) for each in documents)
        rows.append([source, *map(str, (len(documents), clean, named, words, wrong))])
    sums = [str(sum(int(row[column]) for row in rows)) for column in range(1, 6)]
    head = ("source", "documents", "without an error", "with parts named as unused", "words", "wrong")
    print(table(head, [*rows, ["all", *sums]]) + "\n")
    errors = [
        [source, str(each.wrong), " ".join(map(str, each.example.spoken)), each.heard, each.unused]
        for source, documents in found.items()
        for each in documents
        if each.wrong
    ]
    print(table(("source", "wrong", "spoken", "heard", "unused"), errors))


def main() -> None:
    """Run the command line."""
    options = argparse.ArgumentParser(prog=PROGRAM, description=__doc__)
    options.add_argument("--voice", default="af_heart", help="voice of the English documents")
    options.add_argument("--student", default="always", help="KANI_KOKORO_STUDENT of the server")
    options.add_argument("--count", type=int, help="documents of each source; all if not given")
    given = options.parse_args()
    with report_section("SSML as it is heard", "faster-whisper"):
        with (
            Server("--kokoro-student", given.student) as server,
            httpx2.Client(base_url=f"http://{HOST}:{server.port}", timeout=PATIENCE_S) as client,
        ):
            found = {
                source: [speak(client, each, given.voice) for each in examples[: given.count]]
                for source, examples in SOURCES.items()
            }
        report(found)


if __name__ == "__main__":
    main()
