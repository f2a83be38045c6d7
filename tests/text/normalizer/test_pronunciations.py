"""Pronunciations over espeak-ng: of each language's file, and of English homographs (homographs.tsv)."""

from dataclasses import replace
from pathlib import Path

import pytest

from kani.core.engine import Reading
from kani.engines.espeak.client import EspeakClient
from kani.engines.kokoro.text.espeak_ipa import phonemizer_for
from kani_text.lexicon import Lexicon
from kani_text.normalizer import NormalizerOptions, normalize
from kani_text.pronunciations import FOLDER, entries, pronunciations
from tests.support.sessions import SPANISH, serving, speak
from tests.support.tables import rows
from tests.support.tone import ToneEngine

FILES = sorted(file.stem for file in FOLDER.glob("*.txt"))
LANGUAGES = [name for name in FILES if "_" not in name]


def written(name: str) -> list[tuple[str, str]]:
    """Words of a file and their pronunciations, as they are written."""
    lines = (FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    rows = [line.split(" = ") for line in lines if line and not line.startswith("#")]
    return [(word, said) for word, said in rows]


@pytest.mark.parametrize("name", FILES)
def test_each_entry_is_found_by_its_word(name: str) -> None:
    table = entries(name)
    assert len(table) == len(written(name)), "a word twice"
    for word, said in written(name):
        found = Lexicon((table,)).match(word, 0)
        assert found is not None
        length, entry = found
        assert length == len(word)
        assert (entry.spelling or "", entry.ipa is not None) == (said.partition("/")[0].strip(), "/" in said)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_spelling_changes_what_espeak_says(language: str) -> None:
    """Kokoro's symbols differ; an entry only for the case of its letters hides one for any case."""
    say = phonemizer_for(EspeakClient.shared(), language)
    assert say is not None
    spelled = [(word, said) for word, said in written(language) if not said.endswith("/")]
    any_case = {word for word, _ in spelled}
    before, after = (say([row[column] for row in spelled]) for column in (0, 1))
    same = [word for (word, _), old, new in zip(spelled, before, after, strict=True) if old == new]
    assert [word for word in same if word.lower() not in any_case - {word}] == []


@pytest.mark.parametrize("language", ["en", "en-GB"])
def test_each_ipa_has_a_stress_if_it_has_a_vowel(language: str) -> None:
    """Kokoro swallows words without one."""
    say = phonemizer_for(EspeakClient.shared(), language)
    assert say is not None
    for name in ("en", "en_verbs"):
        for word, said in written(name):
            if "/" in said:
                symbols = say.symbols_of_ipa(said.split("/")[1])
                assert symbols
                assert "ˈ" in symbols or not set(symbols) & set("AIOQWYaiuæɑɒɔəɛɜɪʊʌ"), word


def test_british_sentence_begins_with_a_stressed_verb() -> None:
    """Kokoro says "What's she angry" without it; American voices need none."""
    british, american = (phonemizer_for(EspeakClient.shared(), language) for language in ("en-GB", "en"))
    assert british is not None and american is not None
    clauses = ["Was she angry", "Are all here", "Were you there", "was she", "Wars are"]
    begins = [symbols.split()[0] for symbols in british(clauses)]
    assert begins == ["wˌɒz", "ˌɑːɹ", "wˌɜː", "wɒz", "wˈɔːz"]
    assert [symbols.split()[0] for symbols in american(clauses[:3])] == ["wʌz", "ɑɹ", "wɜɹ"]


ENGLISH = NormalizerOptions("en", accepts_ipa=True, homographs=True)


@pytest.mark.parametrize(("text", "said"), rows(__file__, "homographs.tsv"))
def test_neighbours_show_the_verb(text: str, said: str) -> None:
    assert [one.ipa for one in normalize(text, 0, ENGLISH).pronunciations] == [said] * (said != "-")
    assert normalize(text, 0, replace(ENGLISH, homographs=False)).pronunciations == ()


@pytest.mark.parametrize(
    ("language", "text", "said"),
    [
        ("es-MX", "Un tour en YouTube", "Un tur en yútub"), ("es", "La app de Kate", "La ap de quéit"),
        ("en-GB", "Rehab resistance", "reehab rezistance"), ("de", "Das Training", "Das träning"),
        ("fr", "Jean et un jean", "jan et un djine"), ("it", "le chips", "le cìps"),
        ("pt-BR", "O chat e o PIX", "O tchéti e o píkis"), ("pt-PT", "Um ticket", "Um tíquete"),
        ("pt-PT", "O chat", "O chat"), ("de", "BAföG-Antrag", "bahfög-Antrag"),
        ("it", "Le file e i file", "Le file e i fàil"),
    ],
)  # fmt: skip
def test_words_are_read_by_their_file(language: str, text: str, said: str) -> None:
    lexicon = Lexicon().followed_by(pronunciations(language))
    assert normalize(text, 0, NormalizerOptions(language, lexicon)).text == said


@pytest.mark.parametrize(
    ("by_espeak", "normalized", "said"),
    [(True, True, "escáip"), (True, False, "Skype"), (False, True, "Skype")],
)
async def test_only_engines_that_read_by_espeak_have_them(
    tmp_path: Path, by_espeak: bool, normalized: bool, said: str
) -> None:
    engine = ToneEngine()
    engine.info = replace(engine.info, reading=Reading(by_espeak=by_espeak))
    async with serving(engine, tmp_path) as service:
        await speak(service, "Skype", replace(SPANISH, normalize=normalized))
    assert engine.words == [said]
