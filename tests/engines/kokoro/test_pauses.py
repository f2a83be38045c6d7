"""Pauses at marks inside an utterance: their kinds, and the silence that is heard."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kani import AsyncSpeech
from kani.core.audio.prosody_filter import LIST_COMMA, MARK_PAUSES_S
from kani.core.types import NEUTRAL, Boundary, Samples, Segment, Span
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.network.parts import PredictedProsody
from kani.engines.kokoro.network.silence import Silence, with_silences
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani.engines.kokoro.text.phonemes import split_utterances
from tests.judges.judge import hear, wrong_words
from tests.support.kokoro import Writer, chunks_of, joined
from tests.support.sound_measures import silences

LIST, CLAUSE = MARK_PAUSES_S[LIST_COMMA], MARK_PAUSES_S[","]

VOICES = {"en": "af_heart", "es": "ef_dora", "fr": "ff_siwis", "it": "if_sara", "pt": "pf_dora"}
TEXTS = {
    "en": (
        "He sold carpets, mirrors, clocks and paintings. The garden has roses, lilies, herbs and a pond.",
        "The sign said one word: closed. She gave me two things: a map and a torch.",
        "The winner – a farmer – was not there. My aunt — the youngest — is a nurse.",
    ),
    "es": (
        "Vendía alfombras, espejos, relojes y cuadros. El jardín tiene rosas, lirios, hierbas y un estanque.",
        "El cartel decía una palabra: cerrado. Me dio dos cosas: un mapa y una linterna.",
        "El ganador – un granjero – no estaba. Mi tía — la menor — es enfermera.",
    ),
    "fr": (
        "Il vendait des tapis, des miroirs, des montres et des tableaux. Le jardin a des roses, des lys, des "
        "herbes et un étang.",
        "Le panneau disait un mot : fermé. Elle m'a donné deux choses : une carte et une lampe.",
        "Le gagnant – un fermier – n'était pas là. Ma tante — la plus jeune — est infirmière.",
    ),
    "it": (
        "Vendeva tappeti, specchi, orologi e quadri. Il giardino ha rose, gigli, erbe e uno stagno.",
        "Il cartello diceva una parola: chiuso. Mi ha dato due cose: una mappa e una torcia.",
        "Il vincitore – un contadino – non c'era. Mia zia — la più giovane — è infermiera.",
    ),
    "pt": (
        "Ele vendia tapetes, espelhos, relógios e quadros. O jardim tem rosas, lírios, ervas e um lago.",
        "A placa dizia uma palavra: fechado. Ela me deu duas coisas: um mapa e uma lanterna.",
        "O vencedor – um fazendeiro – não estava. Minha tia — a mais nova — é enfermeira.",
    ),
}
HEARD_S = ((0.14, 0.2), (0.25, 0.35), (0.2, 0.3))
"""Median of the silence that is heard at the marks of each text: a list's commas, colons, dashes."""


def pauses(text: str, language: str, ending: str = ".") -> dict[str, float]:
    """Pauses by the word before them."""
    phonemizer = phonemizer_for(EspeakClient.shared(), language)
    assert phonemizer is not None
    (utterance,) = split_utterances(text, phonemizer, ending=ending)
    return {text[word.start : word.end]: word.pause_s for word in utterance.words if word.pause_s}


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("en", "We have bread, cheese and wine.", {"bread": LIST}),
        ("en", "We have bread, cheese, and wine.", {"bread": LIST, "cheese": LIST}),
        ("es", "Pan, queso, vino.", {"Pan": LIST, "queso": LIST}),
        ("es", "Un té, un café o una leche.", {"té": LIST}),
        ("pt", "Comprei o pão, o leite e o café.", {"pão": LIST}),
        ("en", "Hello, Anna.", {}),
        ("en", "Yes, please.", {}),
        ("es", "Sí, claro que puedo venir.", {}),
        ("fr", "Oui, merci, je prendrai un café.", {}),
        ("en", "There were 3,5 of them.", {}),
        ("en", "When the rain stopped, we went home.", {"stopped": CLAUSE}),
        (
            "en",
            "One thing: I am late; go (now) please.",
            {"thing": 0.28, "late": 0.25, "go": 0.13, "now": 0.13},
        ),
        ("es", "—Hola —dijo Ana.", {"Hola": 0.23}),
        ("fr", "Le train Paris–Lyon est là.", {}),
        ("es", "Sí. Claro. ¿Vienes? preguntó.", {"Sí": 0.35, "Claro": 0.35, "Vienes": CLAUSE}),
        ("en", "milk. two loaves.", {"milk": 0.35}),
        ("es", "Bueno… no sé.", {"Bueno": 0.35}),
    ],
)
def test_marks_have_their_pauses(language: str, text: str, expected: dict[str, float]) -> None:
    assert pauses(text, language) == expected


def test_commas_of_a_text_that_goes_on_and_of_a_long_list() -> None:
    assert pauses("We have bread, cheese", "en", "") == {"bread": CLAUSE}
    assert pauses("Hello, Anna", "en", "") == {}
    words = "uno dos tres cuatro cinco seis siete ocho nueve diez once doce trece catorce quince".split()
    for count, share in ((6, 1), (8, 5 / 7), (15, 1 / 2)):
        found = pauses(", ".join(words[:count]) + ".", "es")
        assert list(found.values()) == pytest.approx([share * LIST] * (count - 1))


def predicted(energy: list[float], frames: list[int], features: int) -> PredictedProsody:
    """A prosody with so many features a frame, each with its own place in it."""
    count = sum(frames)
    asr = np.repeat(np.arange(count, dtype=np.float32), features)[None, None]
    curve = np.array([energy], np.float32)
    return PredictedProsody(asr, np.full_like(curve, 150.0), curve, np.array(frames), 5.0)


@pytest.mark.parametrize("features", [1, 2])
def test_silence_is_put_at_the_quietest_place(features: int) -> None:
    # Symbols of four frames: a pad, "a", ",", " ", "b", a pad.
    energy = [-9.0] * 6 + [7.0] * 9 + [-1.0, -2.0, -1.0] + [7.0] * 26 + [-9.0] * 4
    plain = predicted(energy, [4] * 6, features)
    assert with_silences(plain, []) is plain
    # Three half frames of 12.5 ms are quiet already.
    assert with_silences(plain, [Silence(1, 3, 0.04)]) is plain
    longer = with_silences(plain, [Silence(1, 3, 0.2)])
    added = 6
    assert list(longer.frames) == [4, 4 + added, 4, 4, 4, 4]
    total = 24 + added
    assert longer.asr.shape == (1, 1, total * features) and longer.pitch.shape == (1, 2 * total)
    new = slice(16, 16 + 2 * added)
    assert np.all(longer.energy[0, new] < -9) and np.all(longer.pitch[0, new] == 0)
    assert np.array_equal(np.delete(longer.energy[0], np.r_[new]), np.array(energy, np.float32))
    repeated = np.bincount(longer.asr[0, 0].astype(int)) // features
    # The feature that is heard there, 60 ms later.
    assert repeated.argmax() == (16 + 5) // 2 and np.all(np.delete(repeated, 10) == 1)


def at_marks(text: str, samples: Samples, spans: list[Span]) -> list[tuple[float, float, float]]:
    """Seconds of silence at each mark inside a sentence, and how far its ends are from the words' times."""
    found = []
    for word, following in pairwise(spans):
        if set(text[word.end : following.start]).isdisjoint(",:—–"):
            continue
        around = [
            (start, end)
            for start, end in silences(samples)
            if end > word.end_s - 0.08 and start < following.start_s + 0.08
        ]
        start, end = max(around, key=lambda one: one[1] - one[0], default=(word.end_s, word.end_s))
        found.append((end - start, abs(start - word.end_s), abs(end - following.start_s)))
    return found


async def check_heard(engine: KokoroEngine, language: str) -> None:
    for text, (low, high) in zip(TEXTS[language], HEARD_S, strict=True):
        samples, spans = joined(await chunks_of(engine, Segment(text, VOICES[language], language)))
        found = np.array(at_marks(text, samples, spans))
        assert len(found) >= 2
        assert low <= np.median(found[:, 0]) <= high, (text, found)
        # A last sound may fade or be followed by a breath; the next word begins with the sound.
        assert np.median(found[:, 2]) < 0.03, (text, found)


@pytest.mark.parametrize("language", VOICES)
async def test_marks_are_heard_as_pauses(student: KokoroEngine, language: str) -> None:
    await check_heard(student, language)


@pytest.mark.heard
@pytest.mark.parametrize(
    "language", ["es", "it", *(pytest.param(one, marks=pytest.mark.full) for one in ("en", "fr", "pt"))]
)
async def test_marks_are_heard_as_pauses_of_kokoros(engine: KokoroEngine, language: str) -> None:
    await check_heard(engine, language)


@pytest.mark.heard
@pytest.mark.parametrize("language", VOICES)
async def test_pauses_cost_no_word(student: KokoroEngine, language: str) -> None:
    """Against the same speech without them, as the recogniser mishears some words of a voice either way."""

    async def wrong(pauses: float) -> int:
        count = 0
        for text in TEXTS[language]:
            segment = Segment(text, VOICES[language], language, prosody=replace(NEUTRAL, pauses=pauses))
            samples, _ = joined(await chunks_of(student, segment))
            count += wrong_words(text, hear(samples, 24_000, language), language)[0]
        return count

    assert await wrong(1.0) <= await wrong(0.0) + 2


async def test_pauses_follow_tempo_and_emotion(student: KokoroEngine) -> None:
    text = TEXTS["es"][0]
    plain = Segment(text, "ef_dora", "es")
    medians = []
    for segment in (plain, replace(plain, speed=0.8), replace(plain, prosody=replace(NEUTRAL, pauses=1.6))):
        found = at_marks(text, *joined(await chunks_of(student, segment)))
        medians.append(float(np.median(found, axis=0)[0]))
    assert medians[1] / medians[0] == pytest.approx(1 / 0.8, abs=0.15)
    assert medians[2] / medians[0] == pytest.approx(1.6, abs=0.2)


async def test_pauses_of_a_text_that_is_being_written(student: KokoroEngine) -> None:
    text = "Me dio dos cosas: un mapa y una linterna. El cartel decía una palabra: cerrado."
    written = Writer(text, 1).text
    chunks = [chunk async for chunk in student.stream(Segment("", "ef_dora", "es"), written)]
    assert written.boundary is Boundary.SENTENCE and len(chunks) > 2
    found = at_marks(text, *joined(chunks))
    assert all(0.22 <= seconds <= 0.36 and off < 0.7 * seconds for seconds, off, _ in found), found


async def test_breaks_items_and_quotations_pause_once() -> None:
    """A ``<break>`` replaces a mark's pause; items, and a colon before another language, have their own."""
    async with AsyncSpeech(engine="kokoro", kokoro_student="only") as speech:
        said = await speech.say("Dos cosas, <break time='0.6s'/> no más.", language="es")
        (longest,) = sorted(end - start for start, end in silences(said.samples))[-1:]
        assert longest == pytest.approx(0.64, abs=0.06)
        said = await speech.say("- pan\n- leche fresca\n- huevos\n", language="es")
        assert sum(end - start > 0.32 for start, end in silences(said.samples)) == 2
        said = await speech.say("El cartel decía: «The show must go on».", language="es")
        assert max(end - start for start, end in silences(said.samples)) == pytest.approx(0.3, abs=0.05)
