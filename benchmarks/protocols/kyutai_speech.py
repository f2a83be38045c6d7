"""Speech through Kyutai's protocol: first audio, and quality when fed word by word.

Parts: first (first audio after a clause, an Eos, the third word), written (fed word by word, and whole).
"""

from __future__ import annotations

import asyncio

from benchmarks.protocols.kyutai_client import SAMPLE_RATE, SpeechResult, speak
from benchmarks.report import measure, median, ms, percentile, table
from benchmarks.sentences import WITH_EARLY_PHRASE, WITHOUT_INNER_MARK, mixed
from benchmarks.server_process import Server
from kani.engines.kokoro.voices import DEFAULT_VOICES
from tests.judges.judge import hear, wrong_words
from tests.support.sound_measures import long_pauses

THIRD = 2

SHORT = {
    "es": ("Claro que sí.", "Son las cinco.", "Muy bien, gracias.", "No lo sé todavía.", "Hasta mañana."),
    "en": ("Of course.", "It is five o'clock.", "Very well, thank you.", "I don't know yet.", "Good night."),
}
"""Answers too short to be spoken before their Eos."""


def _after(spoken: SpeechResult, word: int) -> float:
    return spoken.received_at[0] - spoken.sent_at[word]


async def _first(url: str) -> dict[str, list[float]]:
    waited: dict[str, list[float]] = {}
    for named in (True, False):
        voice = "voice named" if named else "language detected"
        for language, text in (*mixed(WITH_EARLY_PHRASE), *mixed(SHORT), *mixed(WITHOUT_INNER_MARK)):
            query = {"voice": DEFAULT_VOICES[language]} if named else {}
            spoken = await speak(url, text, **query)
            words = text.split()
            clause = next((at for at, word in enumerate(words) if word[-1] in ",.;:?!"), len(words) - 1)
            if clause < len(words) - 1:
                waited.setdefault(f"a clause end, {voice}", []).append(_after(spoken, clause))
            elif len(words) > 5:
                waited.setdefault(f"the third word, no clause ends, {voice}", []).append(
                    _after(spoken, THIRD)
                )
            else:
                waited.setdefault(f"Eos of a short answer, {voice}", []).append(_after(spoken, len(words)))
    return waited


def first() -> None:
    """Measure the first audio of words sent one each 100 ms."""
    with Server("--engine", "kokoro") as running:
        asyncio.run(speak(running.url, "Hola, ya estoy aquí.", voice="ef_dora"))
        waited = asyncio.run(_first(running.url))
    rows = []
    for after, times in waited.items():
        goal = "each ≤ 1200 ms" if "third" in after else "median ≤ 350 ms"
        rows.append(
            [after, str(len(times)), ms(median(times)), ms(percentile(times, 90)), ms(max(times)), goal]
        )
    print("First audio, a word every 100 ms (below zero: it came before):\n")
    print(table(("after", "texts", "median", "p90", "most", "goal"), rows) + "\n", flush=True)


async def _both(url: str) -> list[tuple[str, str, SpeechResult, SpeechResult]]:
    found = []
    for language, text in (*mixed(WITHOUT_INNER_MARK), *mixed(WITH_EARLY_PHRASE)):
        voice = DEFAULT_VOICES[language]
        in_words = await speak(url, text, voice=voice)
        whole = await speak(url, text, word_s=None, voice=voice)
        found.append((language, text, in_words, whole))
    return found


def written() -> None:
    """Compare text fed word by word with text fed whole: words recognized, length, pauses, stalls."""
    with Server("--engine", "kokoro") as running:
        found = asyncio.run(_both(running.url))
    wrong = {"fed word by word": [0, 0], "fed whole": [0, 0]}
    for language, text, *takes in found:
        for way, spoken in zip(wrong, takes, strict=True):
            bad, count = wrong_words(text, hear(spoken.samples, SAMPLE_RATE, language), language)
            wrong[way][0] += bad
            wrong[way][1] += count
    ratios = [len(in_words.samples) / len(whole.samples) for *_, in_words, whole in found]
    more = [
        max(0, long_pauses(in_words.samples) - long_pauses(whole.samples)) for *_, in_words, whole in found
    ]
    stalled = [in_words.stalled_s for *_, in_words, _ in found]
    echoed = sum([word for word, *_ in in_words.words] == text.split() for _, text, in_words, _ in found)
    rows = [
        *(
            [f"words wrong, {way}", f"{bad} of {of}: {bad / of:.1%}", "≤ 4 %"]
            for way, (bad, of) in wrong.items()
        ),
        [
            "length ÷ whole's",
            f"all {sum(len(w.samples) for *_, w, _ in found) / sum(len(w.samples) for *_, w in found):.3f}, "
            f"median {median(ratios):.3f}, {min(ratios):.3f} to {max(ratios):.3f}",
            "0.92 to 1.08",
        ],
        ["pauses > 250 ms that the whole has not", str(sum(more)), "none"],
        ["texts whose words came back one for one", f"{echoed} of {len(found)}", "all"],
        [
            "stalls in playback",
            f"{sum(s > 0 for s in stalled)} of {len(found)}, longest {ms(max(stalled))}",
            "",
        ],
    ]
    print(
        f"{len(found)} sentences es, en, fr, of 10 to 25 words, a word every 100 ms, beside the same whole:\n"
    )
    print(table(("", "measured", "goal"), rows) + "\n", flush=True)


PARTS = {"first": first, "written": written}


if __name__ == "__main__":
    measure("protocols.kyutai_speech", __doc__, "Speech through Kyutai's protocol", PARTS, "faster-whisper")
