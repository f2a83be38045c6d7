"""Rare and invented names, with and without a prompt that tells them.

Sixty sentences of Kokoro's, a name each; the prompt has all twenty of its language. Nothing was chosen by the
names that judge.
"""

from __future__ import annotations

import argparse
import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence

from benchmarks.recognition.hard_recordings import speaker
from benchmarks.recognition.measures import at_once
from benchmarks.recognition.streams import sounds_without_speech, started_recognizer
from benchmarks.report import report_section, table
from kani.core.expected_words import as_prompt
from kani.core.recognizer import RecognizedWord
from kani.core.transcriber import TranscriptionOptions
from kani.core.types import Samples
from kani.engines.whisper.engine import WhisperRecognizer

TUNING = {
    "en": (
        "Zandrell Marvick Tolliwen Brackshaw Quillory Nesbrook Ottavance Fennimere Draylor Hexley Oswindale "
        "Caldervane Pryvex Lumorin Thackery Wexborough Ysolde Kaveny Rundlecroft Aubrethon"
    ).split(),
    "es": (
        "Zubimendi Arrozabal Quiroveda Larrenga Ochandiano Belmirez Echevaste Urdangaray Villacorza Tarsicio "
        "Goyanes Iparraguirre Mendrosa Cañaverí Azpilicueta Rebolledo Sanjurgo Lumbreras Orzábal Jaraquemada"
    ).split(),
    "fr": (
        "Kermadec Vaudricourt Lanvallay Estrabeau Quinquempoix Brévannes Malestroit Rochambert Délivrande "
        "Guérandel Plouvenec Aubrécourt Tréveneuc Maubuisson Carandeuc Lessarbaud Ozanneau Fontréal Vireloup "
        "Jossigny"
    ).split(),
}
JUDGING = {
    "en": (
        "Halvorsby Trevannick Corbishley Wrayburn Dunsterville Pellworth Ashgarrow Kintravel Morwenstow "
        "Ludgrove Fitzallard Beaumarsh Eddowick Garlinghouse Yarborne Stanivuk Tollemache Ravensholt Quenby "
        "Merriscourt"
    ).split(),
    "es": (
        "Etxegarai Bustinduy Calahorrano Peñafrades Zorrondegui Mirasierra Albarroyo Gaztambide Urrecha "
        "Tolivares Cendoya Barrutieta Ximénarro Valdeolmillos Ojinaga Lizarraño Monteagrelo Saralegui "
        "Fuentecilla Andrabide"
    ).split(),
    "fr": (
        "Kerguélan Montfauvert Beaurevoir Lescouarnec Trégastel Vauquelin Pontcallec Chantrefort Rosmadeuc "
        "Bellanger Guimarho Saintoyant Hauterelle Dampmartel Escoubès Ploërdut Marquenterre Fauquemont "
        "Loudéac Gourvennec"
    ).split(),
}
Names = Mapping[str, Sequence[str]]
FRAMES = {
    "en": ("Please call {} before noon.", "The parcel is for {}.", "I spoke with {} last week."),
    "es": ("Llama a {} antes de comer.", "El paquete es para {}.", "Ayer hablé con {} por teléfono."),
    "fr": ("Appelle {} avant midi.", "Le colis est pour {}.", "J'ai parlé avec {} la semaine dernière."),
}
VOICES = {
    "en": ("af_heart", "am_michael", "bf_emma", "bm_george"),
    "es": ("ef_dora", "em_alex"),
    "fr": ("ff_siwis",),
}
NO_SPEECH_S = 10
WAYS, TOLD = ("live", "file"), (False, True)
HEAD = (
    *("way", "sentences", "names right without a prompt", "with the names as prompt", "with ÷ without"),
    *("other words all right without a prompt", "with the names as prompt"),
)


async def _once(samples: Samples) -> AsyncIterator[Samples]:
    yield samples


async def heard(
    recognizer: WhisperRecognizer, samples: Samples, language: str, prompt: str, *, live: bool
) -> str:
    """Return the transcript."""
    if live:
        events = recognizer.recognize_prompted(at_once(samples), language, prompt)
        return " ".join([event.text async for event in events if isinstance(event, RecognizedWord)])
    options = TranscriptionOptions(language, prompt=prompt)
    return "".join([one.text async for one in recognizer.transcribe(_once(samples), options)])


def letters(text: str) -> str:
    """Return the letters of a text in lower case."""
    return re.sub(r"\W", "", text).casefold()


async def measure(names: Names, count: int, ways: Sequence[str], *, verbose: bool) -> None:
    """Print the names that were heard right, and the words that sounds without speech gave."""
    texts = [
        (language, name, FRAMES[language][number % 3], VOICES[language][number % len(VOICES[language])])
        for language, of_language in names.items()
        for number, name in enumerate(of_language)
    ][:count]
    said = list[tuple[str, str, str, Samples]]()
    async with speaker() as speaking:
        for language, name, frame, voice in texts:
            samples = await speaking.say(frame.format(name), voice, language)
            said.append((language, name, frame.format(name), samples))
    rows = []
    async with started_recognizer() as recognizer:
        for way in ways:
            right, rest = Counter[bool](), Counter[bool]()
            for language, name, text, samples in said:
                for told in (False, True):
                    prompt = as_prompt(names[language]) if told else ""
                    got = await heard(recognizer, samples, language, prompt, live=way == "live")
                    right[told] += letters(name) in letters(got)
                    rest[told] += all(part in letters(got) for part in letters(text).split(letters(name)))
                    if verbose:
                        print(f"{way}, {'with' if told else 'without'}: {text} -> {got}", flush=True)
            ratio = f"{right[True] / right[False]:.1f}" if right[False] else "none without"
            counts = [str(found[told]) for found in (right, rest) for told in TOLD]
            rows.append([way, str(len(said)), *counts[:2], ratio, *counts[2:]])
        print(table(HEAD, rows) + "\n", flush=True)
        invented = Counter[bool]()
        for sound in sounds_without_speech(NO_SPEECH_S).values():
            for told in TOLD:
                prompt = as_prompt(names["en"]) if told else ""
                invented[told] += len((await heard(recognizer, sound, "en", prompt, live=True)).split())
        head = ("seven sounds without speech, live", "words without a prompt", "with the names as prompt")
        print(table(head, [[f"{NO_SPEECH_S} s each", str(invented[False]), str(invented[True])]]), flush=True)


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recognition.names", description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="names, English ones first")
    parser.add_argument("--way", choices=WAYS, help="only one way of recognition")
    parser.add_argument("--verbose", action="store_true", help="print each transcript")
    parser.add_argument("--tuning", action="store_true", help="the names that the recogniser was tuned by")
    given = parser.parse_args()
    with report_section("Expected names", "ctranslate2", "faster-whisper"):
        ways = [given.way] if given.way else WAYS
        asyncio.run(measure(TUNING if given.tuning else JUDGING, given.count, ways, verbose=given.verbose))


if __name__ == "__main__":
    main()
