"""Languages by tag, by name, and by the look of a text."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.espeak_library import EspeakLibrary
from speech.errors import UnsupportedLanguage
from speech.language_detection import detect, load_detector
from speech.languages import canonical, primary, resolve

EVERY = sorted({primary(voice.language) for voice in EspeakLibrary.shared().voices} | {"zh"})
KOKORO = ["es", "en", "fr", "it", "pt"]


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("es", "es"),
        ("es-MX", "es-MX"),
        ("es_419", "es-419"),
        ("ES_mx", "es-MX"),
        ("spanish", "es"),
        ("Spanish", "es"),
        ("español", "es"),
        ("Espanol", "es"),
        (" castellano ", "es"),
        ("spa", "es"),
        ("arabic", "ar"),
        ("العربية", "ar"),
        ("français", "fr"),
        ("Deutsch", "de"),
        ("portuguese", "pt"),
        ("Brazilian Portuguese", "pt-BR"),
        ("latin american spanish", "es-419"),
        ("british english", "en-GB"),
        ("en-gb-x-rp", "en-GB-x-rp"),
        ("mandarin", "zh"),
        ("cmn", "zh"),
        ("zh_hans_cn", "zh-Hans-CN"),
        ("中文", "zh"),
        ("हिन्दी", "hi"),
        ("한국어", "ko"),
        ("no", "nb"),
        ("iw", "he"),
        ("Haitian Creole", "ht"),
    ],
)
def test_a_language_is_known_by_its_names(name: str, tag: str) -> None:
    """Tags in any case, with hyphen or underscore, and English and native names give one tag."""
    assert resolve(name) == tag


@pytest.mark.parametrize(
    "name", ["", " ", "xx", "klingonish", "es-", "es-MX-", "-", "\0", "\ud800", "english please", "a" * 500]
)
def test_an_unknown_language_is_refused_with_the_known_ones(name: str) -> None:
    """The refusal names the field and some languages, and does not repeat pages of input."""
    with pytest.raises(UnsupportedLanguage, match=r"language: .*Spanish") as caught:
        resolve(name)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("voice", EspeakLibrary.shared().voices, ids=lambda voice: voice.name)
def test_all_that_espeak_speaks_can_be_named(voice: object) -> None:
    """The language of every voice has a name here."""
    language = primary(voice.language)  # type: ignore[attr-defined]
    language = {"cmn": "zh", "piqd": "tlh"}.get(language, language)
    assert primary(resolve(language)) == language


@given(st.text(max_size=30))
def test_no_name_does_harm(name: str) -> None:
    """Any text is a language or an error; what comes out resolves to itself."""
    try:
        tag = resolve(name)
    except UnsupportedLanguage:
        return
    assert resolve(tag) == tag


def test_tags_are_cased_as_bcp47_recommends() -> None:
    """Regions are upper, scripts title, everything after x lower case."""
    assert canonical("ZH-hant-tw") == "zh-Hant-TW"
    assert canonical("vi-vn-x-central") == "vi-VN-x-central"
    assert canonical("ES-419") == "es-419"
    assert primary("es-MX") == "es"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("مرحبا كيف حالك", "ar"),
        ("سلام، گربه کجاست؟", "fa"),
        ("آپ کیسے ہیں؟ ٹھیک", "ur"),
        ("שלום", "he"),
        ("Γειά σου", "el"),
        ("Привет", "ru"),
        ("Привіт, її звати Оля", "uk"),
        ("Он ў доме", "be"),
        ("안녕하세요", "ko"),
        ("今天天气很好", "zh"),
        ("今日はいい天気ですね", "ja"),
        ("アメリカ", "ja"),
        ("नमस्ते", "hi"),
        ("สวัสดี", "th"),
        ("வணக்கம்", "ta"),
        ("გამარჯობა", "ka"),
        ("Բարեւ", "hy"),
        ("I said привет, дорогие друзья", "ru"),
    ],
)
def test_a_script_tells_its_language(text: str, language: str) -> None:
    """One word in a script that few languages write is enough."""
    assert detect(text, EVERY) == language


SHORT = {
    "es": ["Hola, ¿cómo estás hoy?", "El perro duerme en el sofá", "No sé dónde dejé las llaves"],
    "en": [
        "Hello, how are you today?",
        "The dog is sleeping on the sofa",
        "I don't know where I left the keys",
    ],
    "fr": ["Bonjour, comment allez-vous ?", "Le chien dort sur le canapé", "Votre commande est en route"],
    "de": [
        "Hallo, wie geht es dir heute?",
        "Der Hund schläft auf dem Sofa",
        "Ich muss mit dem Arzt sprechen",
    ],
    "it": ["Ciao, come stai oggi?", "Il cane dorme sul divano", "Non so dove ho lasciato le chiavi"],
    "pt": ["Olá, como você está hoje?", "O cachorro dorme no sofá", "Não sei onde deixei as chaves"],
}


@pytest.mark.parametrize(
    ("language", "text"), [(code, text) for code, texts in SHORT.items() for text in texts]
)
def test_a_short_sentence_tells_its_language(language: str, text: str) -> None:
    """A sentence of five words is told among all languages there are."""
    assert detect(text, EVERY) == language


@pytest.mark.parametrize(
    ("language", "text"), [(code, text) for code, texts in SHORT.items() for text in texts]
)
def test_no_beginning_is_taken_for_another_language(language: str, text: str) -> None:
    """What is too short to tell is left open, not guessed."""
    for end in range(1, len(text)):
        assert detect(text[:end], EVERY) in (language, None)


@pytest.mark.parametrize("text", ["", "  ", "123 456", "!?…", "🎉", "\ud800", "\0", "ok"])
def test_nothing_to_tell_from_is_no_language(text: str) -> None:
    """Digits, marks and two letters tell nothing."""
    assert detect(text, EVERY) is None


def test_a_language_nobody_speaks_is_not_taken_for_another() -> None:
    """German is not English where only Kokoro's five languages are spoken; Arabic is none of them."""
    assert detect("Ich muss heute leider mit dem Arzt sprechen", KOKORO) is None
    assert detect("مرحبا كيف حالك", KOKORO) is None
    assert detect("Tengo que hablar con el médico", KOKORO) == "es"
    assert detect("Hola", []) is None


@given(st.text(max_size=200))
def test_no_text_does_harm(text: str) -> None:
    """Whatever the text, the answer is a candidate or none."""
    assert detect(text, KOKORO) in (*KOKORO, None)


def test_the_detector_is_loaded_once_and_late() -> None:
    """Importing the module, and a telling script, load no detector."""
    code = (
        "import sys; from speech import languages\n"
        "assert languages.resolve('spanish') == 'es' and languages.detect('안녕하세요', ['ko']) == 'ko'\n"
        "assert 'py3langid' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
    assert load_detector() is load_detector()


def test_a_detector_that_cannot_be_unpacked_is_explained() -> None:
    """Where there is no room for a temporary file, the reason and the cure are told."""
    code = (
        "import resource, signal; from speech import languages; from speech.errors import EngineUnavailable\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    languages.load_detector()\n"
        "except EngineUnavailable as error:\n    assert 'TMPDIR' in str(error), error\n"
        "else:\n    raise AssertionError('it was loaded')"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
