"""The language of a text by its look, its words and its client (detected.tsv); languages by tag and name."""

import sys
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import sentences
from benchmarks.text.phrases import EVALUATION, TUNING, read_phrases
from kani.core.errors import UnsupportedLanguage
from kani.core.session.voice_resolver import EARLY_DETECTION, LANGUAGE_DETECTION_CHARACTERS
from kani.engines.espeak.client import EspeakClient
from kani_text.language_detection import detect, languages_by_word, load_detector
from kani_text.languages import NAMES_FILE, canonical, primary, resolve
from tests.support.programs import python
from tests.support.tables import rows
from tests.text.language_names import text_of_cldr

EVERY = sorted({primary(voice.language) for voice in EspeakClient.shared().voices} | {"zh"})
KOKORO = ["es", "en", "fr", "it", "pt"]
EIGHT = ("es", "en", "fr", "it", "pt", "de", "zh", "ja")
LONG = {
    language: sentences.WITH_EARLY_PHRASE[language] + sentences.WITHOUT_EARLY_PHRASE[language]
    for language in ("es", "en")
}


@pytest.mark.parametrize(("text", "expected", "language"), rows(__file__, "detected.tsv"))
def test_script_and_expected_languages_decide(text: str, expected: str, language: str) -> None:
    assert detect(text, EVERY, expected=[] if expected == "-" else expected.split()) == language


SHORT = {
    "es": ["Hola, ¿cómo estás hoy?", "El perro duerme en el sofá", "No sé dónde dejé las llaves"],
    "en": [
        "Hello, how are you today?", "The dog is sleeping on the sofa", "I don't know where I left the keys",
    ],
    "fr": ["Bonjour, comment allez-vous ?", "Le chien dort sur le canapé", "Votre commande est en route"],
    "de": [
        "Hallo, wie geht es dir heute?", "Der Hund schläft auf dem Sofa", "Ich muss mit dem Arzt sprechen",
    ],
    "it": ["Ciao, come stai oggi?", "Il cane dorme sul divano", "Non so dove ho lasciato le chiavi"],
    "pt": ["Olá, como você está hoje?", "O cachorro dorme no sofá", "Não sei onde deixei as chaves"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("language", "text"), [(code, text) for code, texts in SHORT.items() for text in texts]
)
def test_short_sentence_is_detected_and_its_beginning_not_mistaken(language: str, text: str) -> None:
    assert detect(text, EVERY) == language
    words = text.split()
    for count in range(2, len(words)):
        assert detect(" ".join(words[:count]), EVERY) in (language, None)


@pytest.mark.parametrize(
    ("language", "text"), [(code, text) for code, texts in LONG.items() for text in texts]
)
def test_growing_text_is_detected_early(language: str, text: str) -> None:
    for characters, sure in EARLY_DETECTION:
        assert detect(text[:characters], EVERY, sure) in (language, None)
    assert detect(text[:LANGUAGE_DETECTION_CHARACTERS], EVERY) == language


def test_first_look_detects_most_sentences() -> None:
    characters, sure = EARLY_DETECTION[0]
    texts = [text for texts in LONG.values() for text in texts]
    detected = [detect(text[:characters], EVERY, sure) is not None for text in texts]
    assert sum(detected) >= 0.8 * len(detected)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        *(("Hello, world!", "en"), ("Hello", "en"), ("Hi there", "en"), ("Good morning", "en")),
        *(("My name is John.", "en"), ("I love pizza.", "en"), ("Hola", "es"), ("Buenos días", "es")),
        *(("Bonjour", "fr"), ("Ciao", "it"), ("Olá", "pt"), ("Bom dia", "pt")),
        *(("Guten Morgen", "de"), ("Guten Tag", "de"), ("你好", "zh"), ("こんにちは", "ja")),
    ],
)
def test_greeting_is_detected(text: str, language: str) -> None:
    for expected in ((), ("es",), ("en-US", "en"), ("zh-CN", "en")):
        assert detect(text, EVERY, expected=expected) == language


def test_short_phrases_are_detected() -> None:
    """95 % of 400 phrases of one to five words (benchmarks.text.language_detection), 99 % with a hint."""
    phrases = read_phrases(EVALUATION)
    assert Counter(language for language, _ in phrases) == dict.fromkeys(EIGHT, 50)
    assert sum(detect(text, EVERY) == language for language, text in phrases) >= 380
    assert sum(detect(text, EVERY, expected=[language]) == language for language, text in phrases) >= 396


def test_other_languages_are_not_mistaken_for_the_eight() -> None:
    phrases = [(language, text) for language, text in read_phrases(TUNING) if language not in EIGHT]
    detected = [(language, detect(text, EVERY)) for language, text in phrases]
    assert len(detected) == 180
    assert sum(found in EIGHT for _, found in detected) <= 5
    assert sum(language == found for language, found in detected) >= 140


def test_evaluation_has_no_tuning_phrases() -> None:
    """The two sets share greetings of at most two words."""
    judged, tried = (set(read_phrases(file)) for file in (EVALUATION, TUNING))
    assert all(len(text.split()) <= 2 for _, text in judged & tried)


def test_common_words_are_single_lower_case_words() -> None:
    for word in languages_by_word():
        assert word == word.lower() and word.isalpha() and len(word) >= 2, word


@pytest.mark.parametrize("text", ["", "  ", "123 456", "!?…", "🎉", "\ud800", "\0", "ok"])
def test_text_without_words_has_no_language(text: str) -> None:
    assert detect(text, EVERY) is None


def test_unspoken_language_is_not_mistaken_for_a_spoken_one() -> None:
    assert detect("Ich muss heute leider mit dem Arzt sprechen", KOKORO) is None
    assert detect("مرحبا كيف حالك", KOKORO) is None
    assert detect("Tengo que hablar con el médico", KOKORO) == "es"
    assert detect("Hola", []) is None


@given(st.text(max_size=200))
def test_any_text_gives_a_candidate_or_none(text: str) -> None:
    assert detect(text, KOKORO) in (*KOKORO, None)


def test_detector_is_loaded_lazily() -> None:
    code = (
        "import sys; from kani_text.language_detection import detect\n"
        "assert detect('안녕하세요', ['ko']) == 'ko'\n"
        "assert 'py3langid' not in sys.modules and 'numpy' not in sys.modules"
    )
    python("-c", code)
    assert load_detector() is load_detector()


@pytest.mark.server
@pytest.mark.skipif(sys.platform == "win32", reason="only POSIX limits the size of files")
def test_unpacking_without_disk_space_is_reported() -> None:
    start = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (10**6, 10**6))\n"
        "import kani.cli.serve; sys.exit(kani.cli.serve.main(sys.argv[1:]))"
    )
    ended = python("-c", start, "--engine", "espeak", "--port", "0", code=1)
    assert "language detection cannot unpack its model" in ended.stderr
    assert "TMPDIR" in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("es", "es"), ("es-MX", "es-MX"), ("es_419", "es-419"), ("ES_mx", "es-MX"), ("spanish", "es"),
        ("Spanish", "es"), ("español", "es"), ("Espanol", "es"), (" castellano ", "es"), ("spa", "es"),
        ("arabic", "ar"), ("العربية", "ar"), ("français", "fr"), ("Deutsch", "de"), ("portuguese", "pt"),
        ("Brazilian Portuguese", "pt-BR"), ("latin american spanish", "es-419"), ("british english", "en-GB"),
        ("en-gb-x-rp", "en-GB-x-rp"), ("mandarin", "zh"), ("cmn", "zh"), ("zh_hans_cn", "zh-Hans-CN"),
        ("zh-cmn", "zh"), ("zh-cmn-Hans-CN", "zh-Hans-CN"),
        ("zh-yue", "yue"), ("zh-yue-Hant-HK", "yue-Hant-HK"),
        ("ar-arb", "ar"), ("sh", "sr-Latn"), ("sh-BA", "sr-Latn-BA"), ("mo-MD", "ro-MD"), ("in-ID", "id-ID"),
        ("no-bok", "nb-bok"), ("en-GB-oed", "en-GB-oed"), ("en-abc", "en-abc"),
        ("中文", "zh"), ("हिन्दी", "hi"), ("한국어", "ko"), ("no", "nb"), ("iw", "he"),
        ("Haitian Creole", "ht"), ("Francés", "fr"), ("englisch", "en"), ("ger-at", "de-AT"),
        ("Español  Latinoamericano", "es-419"), ("CHINESE (traditional)", "zh-Hant"),
    ],
)  # fmt: skip
def test_names_and_tags_resolve(name: str, tag: str) -> None:
    assert resolve(name) == tag


@pytest.mark.parametrize(
    "name",
    [
        "", " ", "xx", "klingonish", "es-", "es-MX-", "-", "\0", "e\0s", "\0p99\x85", "\ud800",
        "english please", "a" * 500,
    ],
)  # fmt: skip
def test_unknown_language_is_refused_with_known_ones(name: str) -> None:
    with pytest.raises(UnsupportedLanguage, match=r"language: .*Spanish") as caught:
        resolve(name)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize("voice", EspeakClient.shared().voices, ids=lambda voice: voice.name)
def test_languages_of_espeak_resolve(voice: object) -> None:
    language = primary(voice.language)  # type: ignore[attr-defined]
    language = {"cmn": "zh", "piqd": "tlh"}.get(language, language)
    assert primary(resolve(language)) == language


@given(st.text(max_size=30))
def test_resolved_tag_resolves_to_itself(name: str) -> None:
    try:
        tag = resolve(name)
    except UnsupportedLanguage:
        return
    assert resolve(tag) == tag


def test_tags_have_the_case_of_bcp47() -> None:
    assert canonical("ZH-hant-tw") == "zh-Hant-TW"
    assert canonical("vi-vn-x-central") == "vi-VN-x-central"
    assert canonical("ES-419") == "es-419"
    assert primary("es-MX") == "es"


def test_file_has_the_names_of_the_installed_cldr_data() -> None:
    written = NAMES_FILE.read_text(encoding="utf-8")
    assert written == text_of_cldr(), "run python -m tests.text.language_names"
    assert sum(len(line.split("|")) for line in written.splitlines()) > 15_000
