"""The melody of questions, lists and exclamations: its curve, and what is heard of it."""

from dataclasses import replace

import numpy as np
import pytest

from kani.core.types import NEUTRAL, Boundary, Prosody, Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.incremental import IncrementalSentence
from kani.engines.kokoro.network.onnx_model import Stop
from kani.engines.kokoro.network.parts import PredictedProsody
from kani.engines.kokoro.pitch_control import SEMITONE, Kind, Rise, apply_rises, rises_of, with_rises
from kani.engines.kokoro.text.phonemes import Utterance, Word
from tests.support.kokoro import chunks_of, joined
from tests.support.sound_measures import end_pitch

TONE = float(np.log(180))
VOICES = {"es": "ef_dora", "en": "af_heart", "fr": "ff_siwis", "it": "if_sara", "pt": "pf_dora"}
PAIRS = {
    "es": ("Hay leche en la nevera", "Tienes mi número"),
    "en": ("There is milk in the fridge", "The bus stops here"),
    "fr": ("La pharmacie est ouverte", "On peut partir à huit heures"),
    "it": ("Hai il mio numero", "La farmacia è aperta"),
    "pt": ("A farmácia está aberta", "Você conhece os meus vizinhos"),
}
ASKED = {"es": "¿{}?", "fr": "{} ?"}
BY_WORD = {
    "es": "¿Cuándo abre la farmacia?",
    "en": "When does the bus stop here?",
    "fr": "Où est la pharmacie ?",
    "it": "Quando apre la farmacia?",
    "pt": "Onde fica a farmácia?",
}


def falling() -> PredictedProsody:
    """Eleven symbols of five frames, down to 8 semitones below the tone; partly unvoiced."""
    frames = np.full(11, 5)
    curve = np.exp(TONE - np.linspace(-2, 8, 110) * SEMITONE).astype(np.float32)
    curve[35:45] = curve[95:] = 5.0
    return PredictedProsody(np.zeros((1, 1, 55)), curve[None], np.zeros((1, 110)), frames, TONE)  # type: ignore[arg-type]


def semitones(prosody: PredictedProsody) -> np.ndarray:
    return np.asarray((np.log(prosody.pitch[0]) - TONE) / SEMITONE)


@pytest.mark.parametrize("language", VOICES)
def test_curve_rises_from_the_stress_on_and_only_there(language: str) -> None:
    plain, rise = falling(), [Rise(5, 7, 8)]
    own, risen = semitones(plain), semitones(apply_rises(plain, rise, language, NEUTRAL, TONE))
    # The stressed vowel begins at half frame 60, less the lag of 5; a steep rise begins up to six earlier.
    np.testing.assert_allclose(risen[:43], own[:43], atol=1e-4)
    np.testing.assert_allclose(risen[95:], own[95:], atol=1e-4)
    assert risen[75:94].min() > own[75:94].max() + 5 and 0.9 < risen[85:94].mean() <= 9
    assert np.abs(np.diff(risen[56:94])).max() < 1
    wide, narrow = (
        semitones(apply_rises(plain, rise, language, Prosody(pitch_range=by), TONE)) for by in (1.4, 0.6)
    )
    assert narrow[93] < risen[93] < wide[93] <= 9.001
    higher = semitones(apply_rises(plain, rise, language, Prosody(pitch=2.0), TONE))
    assert higher[93] == pytest.approx(risen[93] + 2, abs=1e-3)
    half = semitones(apply_rises(plain, rise, language, Prosody(melody=0.5), TONE))
    np.testing.assert_allclose(half, (own + risen) / 2, atol=1e-3)


def test_nothing_changes_where_nothing_rises() -> None:
    plain = falling()
    assert apply_rises(plain, [], "es", NEUTRAL, TONE) is plain
    assert apply_rises(plain, [Rise(5, 7, 8)], "es", Prosody(melody=0.0), TONE) is plain
    assert apply_rises(plain, [Rise(5, 7, 8)], "zh", NEUTRAL, TONE) is plain


def test_rise_is_found_in_the_symbols() -> None:
    words = (Word(0, 3, 0, 4), Word(4, 6, 5, 7))
    (marked,) = with_rises([Utterance("sˈiː ɪt?", words)], "See it?", "en")
    assert [word.rises for word in marked.words] == [False, True]
    assert rises_of(marked) == (Rise(2, 5, 6),)
    assert rises_of(marked, 4) == (Rise(6, 9, 10),)
    assert rises_of(Utterance("sˈiː ɪt.", words)) == ()


def test_items_and_clauses_with_a_pause_and_exclamations_are_found() -> None:
    # "pan, té!" with and without the pause of a list's comma, and a greeting after it.
    pan, te, hi = Word(0, 4, 0, 4, pause_s=0.17), Word(5, 7, 6, 9), Word(9, 11, 11, 14)
    item, cry = Rise(2, 2, 3, Kind.COMMA), Rise(0, 8, 8, Kind.EXCLAMATION)
    assert rises_of(Utterance("pˈan, tˈe! ˈoi.", (pan, te, hi))) == (item, cry)
    assert rises_of(Utterance("pˈan, tˈe. ˈoi!", (replace(pan, pause_s=0.0), te, hi))) == (
        Rise(11, 13, 13, Kind.EXCLAMATION),
    )


def test_item_is_held_up_to_the_tone_and_one_that_is_there_stays_as_it_was() -> None:
    plain, item = falling(), [Rise(5, 7, 8, Kind.COMMA)]
    own, held = semitones(plain), semitones(apply_rises(plain, item, "en", NEUTRAL, TONE))
    np.testing.assert_allclose(held[:45], own[:45], atol=1e-4)
    assert held[86:94] == pytest.approx(own[86:94] + 4, abs=0.01)  # never by more than four
    high = replace(plain, pitch=plain.pitch * np.exp(8 * SEMITONE))
    np.testing.assert_allclose(
        semitones(apply_rises(high, item, "en", NEUTRAL, TONE)), semitones(high), atol=1e-4
    )


def test_words_before_a_quotation_in_another_language_end_where_it_begins() -> None:
    plain, (written,) = falling(), (Word(0, 4, 0, 4),)
    (before,) = with_rises([Utterance("dˈise", (written,))], "dice", "es", seam=True)
    assert rises_of(before) == (Rise(2, 2, 3, Kind.SEAM),)
    assert rises_of(replace(before, seam=False)) == ()
    joined_on = semitones(apply_rises(plain, [Rise(5, 7, 8, Kind.SEAM)], "es", NEUTRAL, TONE))
    own = semitones(plain)
    np.testing.assert_allclose(joined_on[:45], own[:45], atol=1e-4)
    assert joined_on[86:94] == pytest.approx(own[86:94] + 7, abs=0.01)  # never by more than seven


def test_accents_of_an_exclamation_are_higher_and_what_is_low_stays() -> None:
    plain, cry = falling(), [Rise(0, 8, 8, Kind.EXCLAMATION)]
    own, cried = semitones(plain), semitones(apply_rises(plain, cry, "es", NEUTRAL, TONE))
    np.testing.assert_allclose(cried, np.where((own > 0), 1.3 * own, own), atol=1e-3)


async def end(engine: KokoroEngine, text: str, language: str, light: bool, melody: float = 1.0) -> float:
    prosody = Prosody(melody=melody)
    segment = Segment(text, VOICES[language], language, light=light, prosody=prosody, ahead_s=10.0)
    return end_pitch(joined(await chunks_of(engine, segment))[0])


@pytest.mark.parametrize("light", [False, True])
@pytest.mark.parametrize(
    "language", ["es", "en", *(pytest.param(one, marks=pytest.mark.full) for one in ("fr", "it", "pt"))]
)
async def test_only_yes_no_questions_end_high(engine: KokoroEngine, language: str, light: bool) -> None:
    for words in PAIRS[language]:
        question = ASKED.get(language, "{}?").format(words)
        said, asked = [await end(engine, text, language, light) for text in (f"{words}.", question)]
        flat = await end(engine, question, language, light, 0.0)
        assert asked - said >= 2 and asked - flat >= 2, words
    asked = await end(engine, BY_WORD[language], language, light)
    assert asked - await end(engine, BY_WORD[language].strip("¿? ") + ".", language, light) < 2


@pytest.mark.parametrize("light", [False, True])
async def test_growing_question_ends_as_the_whole_one_does(engine: KokoroEngine, light: bool) -> None:
    """What was spoken before the mark came stays as it was; the last words rise as in the whole sentence."""
    text = "¿Sabes si tus primos de Madrid tienen leche en la nevera?"
    segment = Segment(text, "ef_dora", "es", light=light)
    synthesizer, reader = engine._synthesizer_of(segment), engine._reader("es")
    ends, begun = [], []
    for prosody in (NEUTRAL, Prosody(melody=0.0)):
        sentence = IncrementalSentence(synthesizer, reader, replace(segment, prosody=prosody))
        pieces = []
        for known, ending in ((text[:40], None), (text, "?")):
            pieces.append(
                np.concatenate([each.samples for each in sentence.synthesize(known, ending, Stop())])
            )
        begun.append(pieces[0])
        ends.append(end_pitch(pieces[1]))
    assert np.array_equal(*begun)
    assert ends[0] - ends[1] >= 2
    assert ends[0] == pytest.approx(await end(engine, text, "es", light), abs=1.5)


@pytest.mark.parametrize("light", [False, True])
async def test_voice_does_not_end_before_a_quotation_in_another_language(
    engine: KokoroEngine, light: bool
) -> None:
    """Where a long sentence is cut between two words of one language, its voice stays as it was predicted."""
    segment = Segment("Su canción favorita es", VOICES["es"], "es", light=light, ahead_s=10.0)
    ends = {}
    for boundary in (Boundary.SEAM, Boundary.WORD):
        for melody in (1.0, 0.0):
            one = replace(segment, boundary=boundary, prosody=Prosody(melody=melody))
            ends[boundary, melody] = end_pitch(joined(await chunks_of(engine, one))[0])
    assert ends[Boundary.SEAM, 1.0] - ends[Boundary.SEAM, 0.0] > 2
    assert ends[Boundary.WORD, 1.0] == ends[Boundary.WORD, 0.0]


async def test_words_keep_their_times(engine: KokoroEngine) -> None:
    for language, light in (("es", True), ("en", True), ("es", False)):
        text = ASKED.get(language, "{}?").format(PAIRS[language][0])
        segment = Segment(text, VOICES[language], language, light=light, ahead_s=10.0)
        times = [
            joined(await chunks_of(engine, replace(segment, prosody=Prosody(melody=melody))))[1]
            for melody in (0.0, 1.0)
        ]
        for flat, risen in zip(*times, strict=True):
            assert (risen.start_s, risen.end_s) == pytest.approx((flat.start_s, flat.end_s), abs=0.0101)
