"""Intelligibility: word error rates of whisper-base."""

import functools
import os
import re
import unicodedata
from collections.abc import Sequence

import numpy as np
import soxr
from faster_whisper import WhisperModel

from kani.core.types import Samples
from kani.engines.whisper.checkpoint.finding import BASE

WHISPER_RATE = 16_000

_NUMBERS = {
    "es": "cero uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince "
    "dieciséis diecisiete dieciocho diecinueve veinte",
    "en": "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty",
    "fr": "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze "
    "seize dix-sept dix-huit dix-neuf vingt",
    "it": "zero uno due tre quattro cinque sei sette otto nove dieci undici dodici tredici "
    "quattordici quindici sedici diciassette diciotto diciannove venti",
    "pt": "zero um dois três quatro cinco seis sete oito nove dez onze doze treze catorze quinze "
    "dezesseis dezessete dezoito dezenove vinte",
}


@functools.cache
def whisper() -> WhisperModel:
    """Whisper base, int8, loaded once from the package's files."""
    # OpenMP's threads spin while they wait for each other: where other tests run beside this one, for long.
    threads = 1 if "PYTEST_XDIST_WORKER" in os.environ else 0
    return WhisperModel(str(BASE), device="cpu", compute_type="int8", cpu_threads=threads)


def hear(samples: Samples, sample_rate: int, language: str) -> str:
    """Transcribe ``samples`` (mono, hertz) in the language of a BCP 47 tag."""
    audio = soxr.resample(np.asarray(samples, np.float32), sample_rate, WHISPER_RATE)
    segments, _ = whisper().transcribe(
        audio, language=language.partition("-")[0], beam_size=5, condition_on_previous_text=False
    )
    return " ".join(segment.text.strip() for segment in segments)


def words_of(text: str, language: str) -> list[str]:
    """Normalise ``text`` for comparison: lower case, no punctuation, small numbers as words."""
    names = _NUMBERS[language.partition("-")[0]].split()
    text = unicodedata.normalize("NFC", text).lower().replace("’", "'")
    words = re.findall(r"\w+(?:['-]\w+)*", text)
    words = [names[int(word)] if word.isdecimal() and int(word) < len(names) else word for word in words]
    return [part for word in words for part in re.split("['-]", word)]


def edit_distance(said: Sequence[str], heard: Sequence[str]) -> int:
    """Count the insertions, deletions and substitutions that turn one sequence into the other."""
    row = list(range(len(heard) + 1))
    for at, one in enumerate(said, 1):
        diagonal, row[0] = row[0], at
        for column, other in enumerate(heard, 1):
            best = min(row[column] + 1, row[column - 1] + 1, diagonal + (one != other))
            diagonal, row[column] = row[column], best
    return row[-1]


def wrong_words(reference: str, heard: str, language: str) -> tuple[int, int]:
    """Number of inserted, deleted or substituted words, and number of reference words."""
    said, got = words_of(reference, language), words_of(heard, language)
    return edit_distance(said, got), len(said)


def word_error_rate(reference: str, heard: str, language: str) -> float:
    wrong, words = wrong_words(reference, heard, language)
    return wrong / words


def hindi_consonants(text: str) -> str:
    """The consonants of Hindi in Latin letters, without aspiration and nasal vowels.

    Whisper writes Hindi in Urdu's script, which leaves out vowels, or in Devanagari with others.
    """
    plain = unicodedata.normalize("NFD", text).translate(_CONSONANTS)
    return "".join(letter for letter in plain if letter.isascii() and letter.isalpha())


_CONSONANTS = str.maketrans(
    "कखगघचछजझटठडढतथदधनणपफबभमरलशषसहکقگغچجٹتطڈدنپبمرڑلشسصہح",
    "kkggccjjttddttddnnppbbmrlssshkkggcjtttddnpbmrrlssshh",
)
