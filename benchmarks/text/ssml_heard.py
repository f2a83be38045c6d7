"""Word errors of whisper-base in the documented SSML of W3C, Azure, Google and Amazon, spoken by a server.

English is spoken by the student, or by the voice of ``--voice``. Both texts are normalised before they are
compared, and letters that are spelled out may be written as one word: an error is something else that was
spoken or recognised. Most documents are a date or a number without a sentence around it.
"""

from __future__ import annotations

import argparse
import io
import re
from dataclasses import dataclass

import httpx
import soundfile

from benchmarks.report import report_section, table
from benchmarks.server_process import HOST, Server
from benchmarks.text.normalizer_heard import in_words
from tests.judges.judge import edit_distance, hear
from tests.text.ssml.examples import SOURCES, Example

PROGRAM = "python -m benchmarks.text.ssml_heard"
VOICES = {"es": "ef_dora", "fr": "ff_siwis", "zh": "zf_xiaoxiao", "de": "espeak:de", "ru": "espeak:ru"}
PATIENCE_S = 120.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A document that was spoken; ``wrong`` of its ``words`` were recognised otherwise."""

    example: Example
    seconds: float
    unused: str
    heard: str
    wrong: int
    words: int


def said_words(text: str, language: str) -> list[str]:
    """Return the words that are compared; in Chinese the characters."""
    words = re.findall(r"\w+", in_words(text, language).lower())
    return list("".join(words)) if language == "zh" else words


def compare(expected: str, heard: str, language: str) -> tuple[int, int]:
    """Return the number of wrong words, and of all."""
    said, got = said_words(expected, language), said_words(heard, language)
    same = "".join(said) == "".join(got)
    return (0 if same else edit_distance(said, got)), len(said)


def speak(client: httpx.Client, example: Example, voice: str) -> Heard:
    """Have a document spoken, and recognise it."""
    language = example.language.partition("-")[0]
    body = {"input": example.text, "voice": VOICES.get(language, voice), "response_format": "wav"}
    answer = client.post("/v1/audio/speech", json=body).raise_for_status()
    samples, rate = soundfile.read(io.BytesIO(answer.content), dtype="float32")
    heard = hear(samples, rate, language)
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
            httpx.Client(base_url=f"http://{HOST}:{server.port}", timeout=PATIENCE_S) as client,
        ):
            found = {
                source: [speak(client, each, given.voice) for each in examples[: given.count]]
                for source, examples in SOURCES.items()
            }
        report(found)


if __name__ == "__main__":
    main()
