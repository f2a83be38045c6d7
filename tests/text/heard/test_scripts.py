"""The letters of what was heard: simplified or traditional Chinese, Latin Serbian."""

import pytest

from kani_text.heard.scripts import variety, written, written_words

TAGS = """
zh=zh zh-CN=zh zh-Hans=zh zh-SG=zh zh-Hans-HK=zh zh-TW=zh-TW zh-Hant=zh-TW zh-hant-cn=zh-TW zh-HK=zh-HK
zh-MO=zh-HK sr=sr sr-RS=sr sr-Latn=sr-Latn sr-latn-ME=sr-Latn en-HK=en ja=ja
"""


def test_tag_tells_its_letters() -> None:
    for tag, _, expected in (pair.partition("=") for pair in TAGS.split()):
        assert variety(tag) == expected, tag


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("我今天下午3點要去北京開會,明天回來。", "zh", "我今天下午3点要去北京开会,明天回来。"),
        ("她看著顯著的後果", "zh", "她看着显著的后果"),
        ("显著的著作", "zh", "显著的著作"),  # simplified already
        ("乾隆的衣服乾淨", "zh", "乾隆的衣服干净"),
        ("我以后会发头发的照片", "zh-TW", "我以後會發頭髮的照片"),
        ("里面有台湾的面条", "zh-TW", "裡面有臺灣的麵條"),
        ("里面有台湾的面条", "zh-HK", "裏面有台灣的麪條"),
        ("皇后在台灣走了一公里", "zh-TW", "皇后在台灣走了一公里"),  # traditional already
        ("公里", "zh-TW", "公里"),
        ("點開", "ja", "點開"),
        ("Hello 3.5", "zh", "Hello 3.5"),
        ("Љубав и Његош, ЊЕГОШ", "sr-Latn", "Ljubav i Njegoš, NJEGOŠ"),
        ("Ljubav и Џеп", "sr", "Ljubav и Џеп"),
    ],
)
def test_text_is_in_the_letters_of_its_variety(text: str, language: str, expected: str) -> None:
    assert written(text, language) == expected


def test_word_is_written_by_what_was_said_before() -> None:
    said, words = "", list[str]()
    for word in ("她", "看", "著", "顯", "著", "的", "後", "果"):
        words.append(written(word, "zh", said))
        said += word
    assert "".join(words) == "她看着显著的后果"


def test_words_of_a_text_are_those_of_its_other_letters() -> None:
    assert written_words(["顯", "著。", "後"], " 顯著。 後", " 显著。 后") == ["显", "著。", "后"]
    assert written_words(["x"], "顯", "显") is None
    assert written_words(["顯"], "顯", "显x") is None
