"""What of an answer is kept: words with time, letters of the language, and plausible lengths."""

import asyncio
import math
import unicodedata
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import tokenizers

from benchmarks.recognition.hard_recordings import Speaker, joined
from benchmarks.recognition.repeats import WAYS, hear, letters
from benchmarks.sentences import ARTICLE_1
from kani.core.types import Samples, Segment
from kani.engines.espeak.engine import EspeakEngine
from kani.engines.whisper.checkpoint.finding import BASE
from kani.engines.whisper.coverage import (
    after_echo,
    before_cut,
    begins_late,
    end_of,
    is_spoken,
    said,
    told,
    without_copies,
    without_echo,
)
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.likely_languages import CERTAIN, LANGUAGES, LikelyLanguages
from kani.engines.whisper.plausibility import MAX_TOKENS, TokenLimits, echoes
from kani.engines.whisper.scripts import TokenScripts, is_latinised, scripts_of
from kani.runtime.recognition.local_agreement import HypothesisWord
from kani.runtime.recognition.passes import TimedWord
from kani.runtime.transcript import is_loop, is_repetitive
from kani.runtime.voice_detector import SAMPLE_RATE
from tests.engines.whisper.test_recordings import transcribed
from tests.judges.judge import edit_distance


def timed(text: str, *ends_s: float, start_s: float = 0.0) -> tuple[TimedWord, ...]:
    """Words one after the other, each until the next of ``ends_s``."""
    starts_s = (start_s, *ends_s)[: len(ends_s)]
    return tuple(
        TimedWord(HypothesisWord(word, (at,)), begin_s, end_s, 0.9)
        for at, (word, begin_s, end_s) in enumerate(zip(text.split(), starts_s, ends_s, strict=True))
    )


def texts(words: Sequence[TimedWord]) -> str:
    return " ".join(one.word.text for one in words)


def hum(seconds: float, *pauses_s: float) -> Samples:
    """A tone with pauses of 30 ms that begin at the given times."""
    samples = np.sin(np.arange(round(seconds * SAMPLE_RATE)) / 7).astype(np.float32)
    for pause_s in pauses_s:
        samples[round(pause_s * SAMPLE_RATE) :][: round(0.03 * SAMPLE_RATE)] = 0.0
    return samples


ECHOES: list[tuple[str, tuple[float, ...], str]] = [
    # As of the sentence that Whisper wrote twice: all but the last word of the echo lie at the end.
    ("In London. In sunny London.", (0.3, 1.0, 1.0, 1.0, 1.25), "In London."),
    # As of the count that came once too often: its first word has a few hundredths of a second.
    ("1, 2, 1, 2, 3", (0.3, 0.6, 0.66, 0.66, 0.66), "1, 2,"),
    # As of the answer without end: the last words of the echo have a moment each.
    (
        "The birds sing today. The birds sing today.",
        (0.2, 0.6, 0.8, 1.3, 1.3, 1.3, 1.4, 1.54),
        "The birds sing today.",
    ),
    # As of a number that two passes may agree on: no three digits take 0.2 s, but "1000" does.
    ("8-1-0 8-1-0", (1.8, 2.0), "8-1-0"),
    ("They cost 1000", (0.3, 0.6, 0.8), "They cost 1000"),
    ("All of it is said.", (0.3, 0.4, 0.5, 0.6, 1.0), "All of it is said."),
    # Fast speech: the alignment gives one word no time.
    ("It was in the end.", (0.3, 0.5, 0.7, 0.7, 1.0), "It was in the end."),
    ("Yes.", (0.0,), "Yes."),
    ("", (), ""),
]


@pytest.mark.parametrize(("text", "ends_s", "kept"), ECHOES)
def test_words_without_time_at_the_end_are_dropped(text: str, ends_s: tuple[float, ...], kept: str) -> None:
    assert texts(without_echo(timed(text, *ends_s), spaced=True, speech_s=math.inf)) == kept


def test_words_after_the_end_are_dropped_and_single_characters_need_no_time() -> None:
    """As of the count that Whisper began once more in the silence: the last word of all has what is left."""
    words = timed("1, 2, 3, 4. 1,", 0.5, 0.9, 1.0, 1.55, 1.7)
    assert texts(without_echo(words, spaced=True, speech_s=1.4)) == "1, 2, 3, 4."
    assert texts(without_echo(words, spaced=True, speech_s=1.6)) == "1, 2, 3, 4. 1,"
    words = timed("我 住 在 这 里", 0.3, 0.5, 0.7, 0.7, 0.7)
    assert without_echo(words, spaced=False, speech_s=math.inf) == words
    words = timed("我 住 在 这 里 我", 0.3, 0.5, *[0.5] * 4)
    assert texts(without_echo(words, spaced=False, speech_s=math.inf)) == "我 住"


COUNTED_S = (0.63, 1.27, 1.55, 2.0, 2.6, 3.08, 3.5, 4.0, 4.6, 5.06, 5.45)
"""Ends of the words of a count that is said three times, but the last."""


@pytest.mark.parametrize(("last_s", "speech_s"), [(5.76, 5.92), (6.06, 6.14), (8.11, 8.35)])
def test_echo_that_takes_the_end_of_the_last_word_is_dropped_as_a_whole(
    last_s: float, speech_s: float
) -> None:
    """As of the count that Whisper wrote four times: its first word began before the end of the speech."""
    words = [one.word for one in timed("1, 2, 3, 4, " * 4, *range(16))]
    end_s = speech_s + 0.3
    counts: list[int] = []

    def align(some: Sequence[HypothesisWord], seconds: float) -> tuple[tuple[TimedWord, ...], float]:
        """The last of the words is given what is left of the audio."""
        counts.append(len(some))
        ends_s = [*COUNTED_S, last_s, *[end_s - 0.06] * 3][: len(some) - 1]
        return timed(" ".join(one.text for one in some), *ends_s, seconds), -0.3

    found, _ = said(align, words, end_s, spaced=True, speech_s=speech_s)
    assert texts(found) == ("1, 2, 3, 4, " * 3).strip()
    assert len(set(counts)) == len(counts) <= 6
    assert found == align(words[:12], end_s)[0]
    assert said(align, words[:12], end_s, spaced=True, speech_s=speech_s)[0] == found


@pytest.mark.parametrize(
    ("text", "ends_s", "kept"),
    [
        # As of a count that was said four times: the alignment had no time for the fourth of five.
        (
            "1, 2, 3! " * 5,
            (0.7, 1.2, 2.0, 2.6, 3.0, 3.9, 4.5, 4.9, 5.8, 6.05, 6.06, 6.06, 6.3, 6.8, 7.6),
            "1, 2, 3! " * 4,
        ),
        # As of one that is a word, and of one that began within the copy.
        ("1,2,3,4. " * 3, (2.4, 4.6, 5.15), "1,2,3,4. " * 2),
        (
            "5, 6, 7, 8, " * 3,
            (0.8, 1.4, 1.9, 2.3, 3.2, 3.7, 3.7, 3.7, 3.7, 3.7, 4.0, 4.7),
            "5, 6, 7, 8, " * 2,
        ),
        ("Probando, probando, probando.", (0.9, 0.91, 1.7), "Probando, probando."),
        # Quick speech, and repetitions that are no copies.
        ("6 6 6", (0.25, 0.25, 0.5), "6 6 6"),
        ("No, no, no, no.", (0.2, 0.2, 0.4, 0.7), "No, no, no, no."),
        ("1, 2, 3, 4, 3, 2, 1", (0.6, 1.2, 1.2, 1.2, 1.2, 1.8, 2.4), "1, 2, 3, 4, 3, 2, 1"),
        ("", (), ""),
    ],
)
def test_copy_of_a_phrase_that_has_no_time_is_dropped(
    text: str, ends_s: tuple[float, ...], kept: str
) -> None:
    words = timed(text, *ends_s)
    assert texts(without_copies(words)) == kept.strip()
    aligned: list[int] = []

    def align(some: Sequence[HypothesisWord], seconds: float) -> tuple[tuple[TimedWord, ...], float]:
        aligned.append(len(some))
        return words, -0.3

    end_s = max(ends_s, default=0.0)
    found, _ = said(align, [one.word for one in words], end_s, spaced=True, speech_s=end_s)
    assert texts(found) == kept.strip() and len(aligned) == 1


def test_copy_before_an_echo_is_dropped_with_it() -> None:
    words = timed("Probando, probando, probando. " * 2, 0.9, 0.91, 1.7, 1.7, 1.7, 1.75)

    def align(some: Sequence[HypothesisWord], seconds: float) -> tuple[tuple[TimedWord, ...], float]:
        return words[: len(some)], -0.3

    found, _ = said(align, [one.word for one in words], 1.75, spaced=True, speech_s=1.75)
    assert texts(found) == "Probando, probando."


@pytest.mark.parametrize("told", ["こ れ は 本 で す 。 そ れ も 本 で す", "我 在 这 里 我 也 在 这 里"])
def test_character_that_comes_again_at_the_end_is_no_echo(told: str) -> None:
    count, echo = len(told.split()), " ".join(told.split()[-5:])
    words = [one.word for one in timed(f"{told} {echo}", *range(count + 5))]
    speech_s = 0.15 * count

    def align(some: Sequence[HypothesisWord], seconds: float) -> tuple[tuple[TimedWord, ...], float]:
        ends_s = [min(0.15 * at, speech_s) for at in range(1, len(some))]
        return timed(" ".join(one.text for one in some), *ends_s, seconds), -0.3

    found, _ = said(align, words, speech_s + 0.02, spaced=False, speech_s=speech_s)
    assert texts(found) == told


@pytest.mark.parametrize(
    ("text", "ends_s", "kept"),
    [
        # As of the answer after "8 1", which began anew: the alignment has time for what follows only.
        ("0 8 1 0", (0.0, 0.0, 0.15, 0.86), "0"),
        ("morning at the big station in the morning at", (*[0.02] * 7, 0.5, 0.8), "morning at"),
        # What is said twice or three times is kept, and fast speech.
        ("6 6 6", (0.25, 0.5, 0.8), "6 6 6"),
        ("No, no, no.", (0.2, 0.4, 0.7), "No, no, no."),
        ("It was in the end.", (0.05, 0.1, 0.1, 0.2, 0.6), "It was in the end."),
        ("8", (0.05,), "8"),
        ("", (), ""),
    ],
)
def test_words_without_time_at_the_beginning_are_dropped(
    text: str, ends_s: tuple[float, ...], kept: str
) -> None:
    assert texts(after_echo(timed(text, *ends_s))) == kept


def length_s(start_s: float, end_s: float) -> float:
    return end_s - start_s


@pytest.mark.parametrize(
    ("text", "ends_s", "pauses_s", "kept", "from_s"),
    [
        # As of the answer that left out a sentence in the middle, and put the next one's words there.
        ("A dog. That is fine.", (0.3, 1.0, 1.3, 3.8, 4.2), (1.05,), "A dog.", 1.065),
        # However far the alignment stretches the word itself.
        ("Four people.", (0.5, 1.9), (1.1,), "Four people.", 1.115),
        ("Four people.", (0.5, 3.0), (1.1,), "Four people.", 1.115),
        ("A dog barks.", (0.3, 0.8, 1.5), (), "", None),
        ("In 1,984,000 years", (0.3, 2.8, 3.4), (), "", None),
        ("Donaudampfschifffahrtsgesellschaft", (2.4,), (), "", None),
        # Nothing before it could be kept.
        ("Noooo what", (2.5, 2.8), (), "", None),
    ],
)
def test_what_an_answer_left_out_is_heard_again(
    text: str, ends_s: tuple[float, ...], pauses_s: tuple[float, ...], kept: str, from_s: float | None
) -> None:
    words, speech_s = timed(text, *ends_s), 3.0 if from_s == 1.115 else ends_s[-1]
    found, found_s = told(words, hum(speech_s, *pauses_s), speech_s, length_s)
    if from_s is None:
        assert (found, found_s) == (words, None)
    else:
        assert texts(found) == kept
        assert found_s == found[-1].end_s == pytest.approx(from_s, abs=0.03)


def test_number_takes_as_long_as_its_digits() -> None:
    """Its tokens have times: all of it is told, or from its last digit on something is left out."""
    (number,) = timed("8-1-0", 2.1)
    whole = replace(number, last_token=("0", 1.4))
    assert told((whole,), hum(2.1, 0.6), 2.1, length_s) == ((whole,), None)
    found, from_s = told((whole,), hum(4.2, 0.6, 2.0), 4.2, length_s)
    assert texts(found) == "8-1-0" and from_s == found[0].end_s == pytest.approx(2.015, abs=0.03)
    # Without a digit the alignment may put what is left out on any part of the word.
    (word,) = timed("Bologna", 2.1)
    _, from_s = told((replace(word, last_token=("a", 1.4)),), hum(2.1, 0.6), 2.1, length_s)
    assert from_s == pytest.approx(0.615, abs=0.03)


def test_what_follows_a_short_word_is_heard_again_unless_it_is_silence() -> None:
    kept, from_s = told(timed("A. Is it?", 0.02, 3.0, 3.4), hum(3.4), 3.4, length_s)
    assert texts(kept) == "A." and from_s is not None and from_s > 0.1
    words = timed("Four people.", 0.5, 3.0)
    assert told(words, hum(3.0), 1.0, lambda start_s, end_s: min(end_s, 1.1) - start_s) == (words, None)
    assert told((), hum(1.0), 1.0, length_s) == ((), None)
    # A long word of one token ends with the speech; a second word may follow a short one.
    for text, end_s in (("ありがとうございます", 1.66), ("yes.", 0.75)):
        (word,) = timed(text, 0.75, start_s=0.06)
        assert end_of(word, 1.66) == end_s
    (thanks,) = timed("ありがとうございます", 0.75, start_s=0.06)
    assert told((thanks,), hum(2.0), 1.66, length_s) == ((thanks,), None)
    address = timed("www.asterisk.org", 4.4)  # its signs are said by their names
    assert told(address, hum(4.4), 4.4, length_s) == (address, None)


def test_first_word_that_is_stretched_begins_after_speech_that_is_left_out() -> None:
    words = timed("I live in a small house.", 1.9, 2.2, 2.3, 2.4, 2.7, 3.1)
    assert begins_late(words, hum(3.1, 0.3, 1.5), length_s) == pytest.approx(1.515, abs=0.02)
    for text, ends_s in (
        ("I live here.", (0.4, 0.7, 1.1)),
        ("", ()),
        # What is left out follows these words.
        ("Yes. I live here.", (1.9, 2.1, 2.4, 2.7)),
        ("Yes", (1.9,)),
    ):
        assert begins_late(timed(text, *ends_s), hum(3.0), length_s) is None, text
    # Nor does one begin late that silence stretches.
    words = timed("I live here.", 1.9, 2.2, 2.5)
    assert begins_late(words, hum(2.5), lambda start_s, end_s: max(0.0, end_s - 1.5)) is None


LOOPS = ("热" * 20, "ha" * 12, " I don't" * 9, "ла ла ла ла ла ла ла ла ла")
NO_LOOPS = ("Row, row, row your boat. " * 3, "1000000000000", "-" * 30, "", "No, no, no, no!")


def test_letters_that_come_again_and_again_are_a_loop_unless_there_is_time_for_them() -> None:
    assert [text for text in LOOPS + NO_LOOPS if is_loop(text)] == [*LOOPS]
    thrice = "the table for four " * 3
    assert is_spoken(timed(thrice, *np.linspace(0.3, 3.6, 12)), length_s)
    assert not is_spoken(timed(thrice, *np.linspace(0.1, 1.2, 12)), length_s)
    assert not is_spoken(timed(thrice, *np.linspace(0.5, 3.6, 8), 3.6, 3.6, 3.6, 3.6), length_s)
    assert not is_spoken((), length_s)


@pytest.mark.parametrize(
    ("text", "kept", "rest_s"),
    [
        ("It rains. It snows. It ha", "It rains. It snows.", 4.0),
        ("It rains. It snows.", "It rains.", 2.0),
        ("and so it goes on wi", "and so it", 3.0),
        ("ha", "", 0.0),
    ],
)
def test_cut_off_answer_ends_with_its_last_whole_sentence(text: str, kept: str, rest_s: float) -> None:
    words = timed(text, *map(float, range(1, len(text.split()) + 1)))
    whole, from_s = before_cut(words)
    assert (texts(whole), from_s) == (kept, rest_s)


@pytest.fixture(scope="module")
def tokenizer() -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(BASE / "tokenizer.json"))


@pytest.fixture(scope="module")
def spoken_s() -> dict[str, float]:
    """Seconds that espeak-ng needs for the article in each language."""

    async def say() -> dict[str, float]:
        engine = EspeakEngine()
        await engine.start()
        lengths = {}
        for language, text in ARTICLE_1.items():
            segment = Segment(text, engine.info.default_voices[language], language)
            lengths[language] = sum([chunk.duration_s async for chunk in engine.synthesize(segment)])
        await engine.stop()
        return lengths

    return asyncio.run(say())


@pytest.mark.parametrize("language", ARTICLE_1)
def test_fast_speech_is_plausible_in_every_script_and_repetition_detected(
    tokenizer: tokenizers.Tokenizer, spoken_s: dict[str, float], language: str
) -> None:
    """Also at one and a half times espeak-ng's speed."""
    text = ARTICLE_1[language]
    tokens = len(tokenizer.encode(text, add_special_tokens=False).ids)
    limits = TokenLimits(tokenizer)
    # Half of the text in half of the time: in some scripts all of it exceeds Whisper's longest answer.
    assert tokens / 2 < limits.max_tokens(language, spoken_s[language] / 2 / 1.5)
    assert not is_repetitive(text)
    assert is_repetitive(" ".join([text] * 3))
    assert is_repetitive(text.split()[0][:10] * 20)


def test_every_language_has_a_limit_and_latin_ten_tokens_a_second(tokenizer: tokenizers.Tokenizer) -> None:
    limits = TokenLimits(tokenizer)
    for language in LANGUAGES:
        assert 15 < limits.max_tokens(language, 1.0) < 120
        assert limits.max_tokens(language, 30.0) <= MAX_TOKENS
    for language in ("en", "es", "fr", "it", "pt", "de"):
        assert limits.max_tokens(language, 5.0) <= 5.0 * 10 + 12


def test_words_of_the_text_before_are_an_echo_if_they_come_three_times() -> None:
    before = "नमस्ते, आप कैसे हैं? मैं ठीक हूँ।"
    for text in ("नमस्ते, नमस्ते, नमस्ते", "गला आपकेसी नमस्ते नमस्ते नमस्ते।"):
        assert echoes(text, before), text
    for text in ("नमस्ते, आप कैसे हैं? नमस्ते!", "पानी पानी पानी", ""):
        assert not echoes(text, before), text


@pytest.mark.parametrize(
    ("usual", "candidates", "expected", "first"),
    [
        (None, (), None, "it"),
        ("es", (), None, "es"),
        ("en", (), None, "en"),
        (None, (), "es", "es"),
        ("es", (), "en", "en"),  # of the speech before
        ("es", ("it", "gl"), None, "it"),  # the client knows better
        (None, ("es", "en"), None, "es"),
    ],
)
def test_usual_languages_are_tried_first(
    usual: str | None, candidates: tuple[str, ...], expected: str | None, first: str
) -> None:
    """Of a short Spanish utterance."""
    likely = {"it": 0.6, "es": 0.2, "gl": 0.05, "en": 0.15}
    scores = {language: math.log(one) for language, one in likely.items()}
    found = dict(LikelyLanguages([*likely], usual).of(scores, candidates, expected, word=False))
    assert next(iter(found)) == first
    assert [*found.values()] == sorted(found.values(), reverse=True)
    assert found.keys() <= set(candidates or likely)


@pytest.mark.parametrize(("word", "first"), [(True, "es"), (False, "pt")])
def test_one_word_is_in_the_language_of_the_speech_before(word: bool, first: str) -> None:
    scores = {"pt": math.log(0.98), "es": math.log(0.01), "it": math.log(0.01)}
    found = LikelyLanguages([*scores], None).of(scores, (), "es", word=word)
    assert found[0][0] == first
    assert not word or found[0][1] >= CERTAIN


END = 50_257
ANU = ("नमस्ते, मेरा नाम अनु है।", "मैं नदी के पास एक छोटे घर में रहती हूँ।")
BICYCLES = "मेरा भाई पुरानी साइकिलें ठीक करता है।"


@pytest.fixture(scope="module")
def scripts(tokenizer: tokenizers.Tokenizer) -> TokenScripts:
    return TokenScripts(tokenizer, END)


@pytest.mark.parametrize("language", ARTICLE_1)
def test_text_has_own_tokens(tokenizer: tokenizers.Tokenizer, scripts: TokenScripts, language: str) -> None:
    tokens = tokenizer.encode(ARTICLE_1[language], add_special_tokens=False).ids
    assert not {*tokens} & {*scripts.foreign(language, latin=False)}
    if "LATIN" in scripts_of(language):
        return
    if language == "ka":
        # Its letters begin with the same byte as Vietnamese ones.
        return
    foreign = {*scripts.foreign("pt")}
    left = tokenizer.decode([token for token in tokens if token not in foreign])
    strange = [letter for letter in left if letter.isalpha() and "LATIN" not in unicodedata.name(letter)]
    assert len(strange) <= 0.02 * len(ARTICLE_1[language]), left


def test_tokens_are_of_scripts_and_names(tokenizer: tokenizers.Tokenizer, scripts: TokenScripts) -> None:
    tokens = {*tokenizer.encode("Anna's USB from café Müller, 1ª", add_special_tokens=False).ids}
    for language in LANGUAGES:
        assert not tokens & {*scripts.foreign(language)}, language
    assert tokens & {*scripts.foreign("hi", latin=False)}
    # CLDR has no names of countries in Bashkir.
    assert not scripts_of("ba") and not scripts.foreign("ba", latin=False)
    texts = {"sr": "Dobar dan, добар дан", "uz": "Salom, салом", "ja": "東京とパリの人々"}
    for language, text in texts.items():
        tokens = {*tokenizer.encode(text, add_special_tokens=False).ids}
        assert not tokens & {*scripts.foreign(language)}, language


def test_latin_letters_are_noticed_where_most_are() -> None:
    assert is_latinised("krypya rukiye", "hi")
    for text, language in (
        ("मेरा iPhone ठीक करो", "hi"),
        ("USB 3.0 が使えます", "ja"),
        ("Dobar dan", "sr"),
        ("Bashqort", "ba"),
        ("Bom dia", "pt"),
        ("", "hi"),
        ("123", "hi"),
    ):
        assert not is_latinised(text, language), text


def scripts_in(text: str) -> set[str]:
    return {unicodedata.name(letter).partition(" ")[0] for letter in text if letter.isalpha()}


@pytest.mark.heard
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("way", WAYS)
async def test_hindi_is_in_devanagari(recognizer: WhisperRecognizer, speaker: Speaker, way: str) -> None:
    """Also where the language is detected: it is Urdu to Whisper, or English."""
    heard = await hear(recognizer, joined([await speaker.say(BICYCLES, "hm_omega", "hi")], 0), way, "hi")
    assert scripts_in(heard) == {"DEVANAGARI"}, heard
    said = letters(BICYCLES)
    assert edit_distance(said, letters(heard)) <= 0.5 * len(said), heard


@pytest.mark.heard
@pytest.mark.asyncio(loop_scope="session")
async def test_hindi_is_not_lost_and_translated(recognizer: WhisperRecognizer, speaker: Speaker) -> None:
    """Found with a penalty of repetition."""
    pieces = [await speaker.say(text, "hm_omega", "hi") for text in ANU]
    heard = await hear(recognizer, joined(pieces * 2, 0.03), "live", "hi")
    assert scripts_in(heard) == {"DEVANAGARI"}, heard
    assert len(letters(heard)) >= 0.7 * len(letters("".join(ANU * 2))), heard
    spoken = joined([await speaker.say(BICYCLES, "hm_omega", "hi")], 0)
    segments = await transcribed(recognizer, spoken, language="hi", translate=True)
    assert scripts_in("".join(one.text for one in segments)) == {"LATIN"}
