"""Languages by tag and by name, and the file of their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.errors import UnsupportedLanguage
from kani.engines.espeak.client import EspeakClient
from kani.text.languages import NAMES_FILE, canonical, primary, resolve
from tests.text.language_names import text_of_cldr


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("es", "es"), ("es-MX", "es-MX"), ("es_419", "es-419"), ("ES_mx", "es-MX"), ("spanish", "es"),
        ("Spanish", "es"), ("español", "es"), ("Espanol", "es"), (" castellano ", "es"), ("spa", "es"),
        ("arabic", "ar"), ("العربية", "ar"), ("français", "fr"), ("Deutsch", "de"), ("portuguese", "pt"),
        ("Brazilian Portuguese", "pt-BR"), ("latin american spanish", "es-419"), ("british english", "en-GB"),
        ("en-gb-x-rp", "en-GB-x-rp"), ("mandarin", "zh"), ("cmn", "zh"), ("zh_hans_cn", "zh-Hans-CN"),
        ("中文", "zh"), ("हिन्दी", "hi"), ("한국어", "ko"), ("no", "nb"), ("iw", "he"),
        ("Haitian Creole", "ht"), ("Francés", "fr"), ("englisch", "en"), ("ger-at", "de-AT"),
    ],
)  # fmt: skip
def test_names_and_tags_resolve(name: str, tag: str) -> None:
    assert resolve(name) == tag


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        "xx",
        "klingonish",
        "es-",
        "es-MX-",
        "-",
        "\0",
        "e\0s",
        "\0p99\x85",
        "\ud800",
        "english please",
        "a" * 500,
    ],
)
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


def test_name_is_found_whatever_its_capitals_and_punctuation() -> None:
    assert resolve("Español  Latinoamericano") == "es-419"
    assert resolve("CHINESE (traditional)") == "zh-Hant"
