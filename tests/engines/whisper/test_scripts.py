"""Answers in the letters of their language: the tokens of others, and speech that is misheard in them."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
import tokenizers

from benchmarks.recognition.hard_recordings import Speaker, joined
from benchmarks.recognition.languages import letters
from benchmarks.recognition.repeats import WAYS, hear
from benchmarks.recognition.sentences import ARTICLE_1
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.whisper.engine import WhisperRecognizer
from kani.engines.whisper.model import LANGUAGES
from kani.engines.whisper.scripts import TokenScripts, is_latinised, scripts_of
from kani.runtime import weights
from tests.engines.whisper.test_recordings import transcribed
from tests.judges.judge import edit_distance

END = 50_257
ANU = ("नमस्ते, मेरा नाम अनु है।", "मैं नदी के पास एक छोटे घर में रहती हूँ।")
BICYCLES = "मेरा भाई पुरानी साइकिलें ठीक करता है।"


@pytest.fixture(scope="module")
def tokenizer(empty_cache: Path) -> tokenizers.Tokenizer:
    (file,) = (weight for weight in weights.WHISPER_BASE if weight.name.endswith("tokenizer.json"))
    return tokenizers.Tokenizer.from_buffer(weights.load(file, models_dir=None, cache_dir=empty_cache))


@pytest.fixture(scope="module")
def scripts(tokenizer: tokenizers.Tokenizer) -> TokenScripts:
    return TokenScripts(tokenizer, END)


@pytest.mark.parametrize("language", ARTICLE_1)
def test_text_is_written_in_its_own_tokens_only(
    tokenizer: tokenizers.Tokenizer, scripts: TokenScripts, language: str
) -> None:
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


def test_latin_names_are_allowed_in_every_language(
    tokenizer: tokenizers.Tokenizer, scripts: TokenScripts
) -> None:
    tokens = {*tokenizer.encode("Anna's USB from café Müller, 1ª", add_special_tokens=False).ids}
    for language in LANGUAGES:
        assert not tokens & {*scripts.foreign(language)}, language
    assert tokens & {*scripts.foreign("hi", latin=False)}


def test_language_without_a_known_script_allows_every_token(scripts: TokenScripts) -> None:
    # CLDR has no names of countries in Bashkir.
    assert not scripts_of("ba") and not scripts.foreign("ba", latin=False)


def test_languages_of_two_scripts_allow_both(tokenizer: tokenizers.Tokenizer, scripts: TokenScripts) -> None:
    texts = {"sr": "Dobar dan, добар дан", "uz": "Salom, салом", "ja": "東京とパリの人々"}
    for language, text in texts.items():
        tokens = {*tokenizer.encode(text, add_special_tokens=False).ids}
        assert not tokens & {*scripts.foreign(language)}, language


@pytest.mark.parametrize(
    ("text", "language", "latinised"),
    [
        ("krypya rukiye", "hi", True),
        ("मेरा iPhone ठीक करो", "hi", False),
        ("USB 3.0 が使えます", "ja", False),
        ("Dobar dan", "sr", False),
        ("Bashqort", "ba", False),
        ("Bom dia", "pt", False),
        ("", "hi", False),
        ("123", "hi", False),
    ],
)
def test_latin_letters_are_noticed_where_most_are(text: str, language: str, latinised: bool) -> None:
    assert is_latinised(text, language) is latinised


def scripts_in(text: str) -> set[str]:
    return {unicodedata.name(letter).partition(" ")[0] for letter in text if letter.isalpha()}


@pytest.fixture(scope="module")
def speaker(onnx_engine: KokoroEngine, tmp_path_factory: pytest.TempPathFactory) -> Speaker:
    return Speaker(onnx_engine, tmp_path_factory.mktemp("said"))


@pytest.mark.heard
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("way", WAYS)
async def test_hindi_is_written_in_devanagari(
    recognizer: WhisperRecognizer, speaker: Speaker, way: str
) -> None:
    """Also where the language is detected: it is Urdu to Whisper, or English."""
    heard = await hear(recognizer, joined([await speaker.say(BICYCLES, "hm_omega", "hi")], 0), way, "hi")
    assert scripts_in(heard) == {"DEVANAGARI"}, heard
    said = letters(BICYCLES)
    assert edit_distance(said, letters(heard)) <= 0.5 * len(said), heard


@pytest.mark.heard
@pytest.mark.asyncio(loop_scope="session")
async def test_hindi_that_whisper_answers_by_a_loop_is_not_lost_live(
    recognizer: WhisperRecognizer, speaker: Speaker
) -> None:
    """Found with a penalty of repetition."""
    pieces = [await speaker.say(text, "hm_omega", "hi") for text in ANU]
    heard = await hear(recognizer, joined(pieces * 2, 0.03), "live", "hi")
    assert scripts_in(heard) == {"DEVANAGARI"}, heard
    assert len(letters(heard)) >= 0.7 * len(letters("".join(ANU * 2))), heard


@pytest.mark.heard
@pytest.mark.asyncio(loop_scope="session")
async def test_translation_of_hindi_is_written_in_latin_letters(
    recognizer: WhisperRecognizer, speaker: Speaker
) -> None:
    spoken = joined([await speaker.say(BICYCLES, "hm_omega", "hi")], 0)
    segments = await transcribed(recognizer, spoken, language="hi", translate=True)
    assert scripts_in("".join(one.text for one in segments)) == {"LATIN"}
