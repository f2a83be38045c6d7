"""Choice of engine and voice for a request."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kani.core.engine import EngineInfo, VoiceRules
from kani.core.errors import InvalidRequest, UnknownVoice, UnsupportedLanguage
from kani.core.types import Voice
from kani.core.voices.catalogue import VoiceCatalogue, VoiceStore
from tests.core.voices.stored import add
from tests.support.tone import tones


def info(name: str, voices: dict[str, str], defaults: dict[str, str]) -> EngineInfo:
    listed = tuple(Voice(voice, voice, language, name) for voice, language in voices.items())
    return EngineInfo(name, "1", 24000, listed, defaults)


FINE = info(
    "fine", {"dora": "es", "alex": "es", "heart": "en-US", "emma": "en-GB"}, {"es": "dora", "en": "heart"}
)
WIDE = info(
    "wide",
    {"w:es": "es", "w:es-419": "es-419", "w:en": "en-GB", "w:pt": "pt-PT", "w:pt-br": "pt-BR"}
    | {"w:ar": "ar", "w:zh": "zh"},
    {"es": "w:es", "en": "w:en", "pt": "w:pt-br", "ar": "w:ar", "zh": "w:zh"},
)


@pytest.fixture
def store(tmp_path: Path) -> VoiceStore:
    """A store with a Spanish voice, an Arabic one, and one without a language."""
    store = VoiceStore(tmp_path)
    for name, language in (("ana", "es-MX"), ("omar", "ar"), ("who", None)):
        add(store, name, language=language)
    return store


@pytest.fixture
def catalogue(store: VoiceStore) -> VoiceCatalogue:
    return VoiceCatalogue(tones(FINE, WIDE), store, None)


@pytest.mark.parametrize(
    ("voice", "language", "engine", "speaker"),
    [
        (None, "es", "fine", "dora"), ("default", "es", "fine", "dora"), (None, "es-MX", "fine", "dora"),
        (None, "en", "fine", "heart"), (None, "en-US", "fine", "heart"), (None, "en-GB", "fine", "emma"),
        (None, "EN-gb", "fine", "emma"), (None, "ar", "wide", "w:ar"), (None, "ar-EG", "wide", "w:ar"),
        (None, "pt", "wide", "w:pt-br"), (None, "pt-PT", "wide", "w:pt"), ("alex", "es", "fine", "alex"),
        ("alex", "es-AR", "fine", "alex"), ("alex", "en", "fine", "alex"), ("alex", "ar", "wide", "w:ar"),
        ("w:es", "es", "wide", "w:es"),
    ],
)  # fmt: skip
def test_catalogue_resolves_voice_and_language(
    catalogue: VoiceCatalogue, voice: str | None, language: str, engine: str, speaker: str
) -> None:
    choice = catalogue.resolve(voice, language)
    assert (choice.engine.info.name, choice.voice) == (engine, speaker)
    assert (choice.language, choice.stored) == (language, None)
    with pytest.raises(UnsupportedLanguage, match=r"known: ar, en, es, pt, zh"):
        catalogue.resolve(voice, "fr-FR")


def test_latin_america_gets_continental_voice(store: VoiceStore) -> None:
    speakers = {"es-MX": "w:es-419", "es-419": "w:es-419", "es-ES": "w:es", "es": "w:es"}
    catalogue = VoiceCatalogue(tones(WIDE), store, None)
    assert {language: catalogue.resolve(None, language).voice for language in speakers} == speakers


def test_default_voice_is_of_its_language_and_may_be_stored(store: VoiceStore) -> None:
    catalogue = VoiceCatalogue(tones(FINE, WIDE), store, "w:es-419")
    assert catalogue.resolve(None, "es").voice == "w:es-419"
    assert catalogue.resolve(None, "es-ES").engine.info.name == "wide"
    assert catalogue.resolve(None, "en").voice == "heart"
    assert catalogue.resolve("dora", "es").voice == "dora"
    assert catalogue.resolve("heart", "ar").voice == "w:ar"
    catalogue = VoiceCatalogue(tones(FINE, WIDE), store, "custom:ana")
    spanish, arabic = catalogue.resolve(None, "es"), catalogue.resolve(None, "ar")
    assert spanish.stored is not None and spanish.voice == "dora"
    assert arabic.stored is None
    assert VoiceCatalogue(tones(FINE), store, "custom:who").resolve(None, "es").stored is None


@pytest.mark.parametrize(
    "voice", ["nobody", "custom:nobody", "Dora", "custom:", "", "custom:../ana", "\ud800", "a\0"]
)
def test_unknown_voice_is_refused(catalogue: VoiceCatalogue, store: VoiceStore, voice: str) -> None:
    with pytest.raises(UnknownVoice):
        catalogue.resolve(voice, "es")
    with pytest.raises(UnknownVoice):
        VoiceCatalogue(tones(FINE), store, voice)


def test_first_engine_speaks_each_language(catalogue: VoiceCatalogue) -> None:
    assert catalogue.find("default") is None
    assert catalogue.languages == {"es": "fine", "en": "fine", "pt": "wide", "ar": "wide", "zh": "wide"}
    choice = catalogue.resolve("custom:ana", "es-MX")
    assert (choice.engine.info.name, choice.voice) == ("fine", "dora")
    assert choice.stored is not None and choice.stored.name == "ana"
    assert catalogue.resolve("custom:who", "ar").voice == "w:ar"


ACCENTED = replace(
    FINE,
    voices=tuple(
        Voice(name, name, language, "fine", gender)
        for language, female, male in (("es", "dora", "alex"), ("en-GB", "emma", "george"))
        for name, gender in ((female, "female"), (male, "male"))
    ),
    default_voices={"es": "dora", "en": "emma", "pt": "dora"},
    voice_rules=VoiceRules({"pt": ("dora", "alex")}),
)


@pytest.mark.parametrize(
    ("voice", "spoken_by"),
    [(None, "dora"), ("alex", "alex"), ("emma", "dora"), ("george", "alex"), ("w:pt", "w:pt")],
)
def test_accented_language_is_spoken_by_suited_voice_of_same_gender(
    store: VoiceStore, voice: str | None, spoken_by: str
) -> None:
    catalogue = VoiceCatalogue(tones(ACCENTED, WIDE), store, None)
    assert catalogue.resolve(voice, "pt-PT").voice == spoken_by
    assert catalogue.accented == {"pt"} and catalogue.languages["pt"] == "fine"
    assert catalogue.accented_by_voice() == {"dora": ["pt"], "alex": ["pt"]}
    assert [one.id for one in ACCENTED.voices_for("pt")] == ["dora", "alex"]
    assert [one.id for one in ACCENTED.voices_for("en")] == ["emma", "george"]


def test_list_holds_every_voice_and_accents_go_with_an_engine_of_their_own(
    catalogue: VoiceCatalogue, store: VoiceStore
) -> None:
    listed = {voice.id: voice for voice in catalogue.list()}
    stored = ["custom:ana", "custom:omar", "custom:who"]
    assert list(listed) == [*(voice.id for info in (FINE, WIDE) for voice in info.voices), *stored]
    assert listed["custom:ana"] == Voice("custom:ana", "ana", "es-MX", "fine")
    assert listed["custom:omar"].engine == "wide"
    assert (listed["custom:who"].engine, listed["custom:who"].language) == ("", "")
    catalogue = VoiceCatalogue(tones(WIDE, ACCENTED), store, None)
    assert catalogue.resolve(None, "pt").engine.info.name == "wide"
    assert not catalogue.accented and not catalogue.accented_by_voice()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(max_size=20) | st.sampled_from([None, "default", "dora", "w:ar", "custom:ana", "custom:who"]),
    st.text(max_size=10) | st.sampled_from(["es", "es-MX", "en-GB", "ar", "zh-Hant-TW", "xx", "-"]),
)
def test_request_resolves_or_names_field(catalogue: VoiceCatalogue, voice: str | None, language: str) -> None:
    try:
        choice = catalogue.resolve(voice, language)
    except InvalidRequest as error:
        assert error.field in ("voice", "language")
        return
    engine = choice.engine.info
    assert choice.voice in {known.id for known in engine.voices}
    assert language.partition("-")[0].lower() in engine.default_voices
