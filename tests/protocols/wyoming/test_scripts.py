"""Words in scripts with and without spaces."""

from __future__ import annotations

import pytest

from kani.protocols.wyoming.scripts import may_go_on, space_between


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["Hola,", "mundo."], "Hola, mundo."),
        (["今天", "天气", "很好。", "你好"], "今天天气很好。你好"),
        (["สวัสดี", "ครับ"], "สวัสดีครับ"),
        (["これは", "iPhone", "です"], "これは iPhone です"),
        (["안녕", "하세요"], "안녕 하세요"),
    ],
)
def test_words_are_joined_as_they_are_written(words: list[str], text: str) -> None:
    joined = ""
    for word in words:
        joined += space_between(joined, word) + word
    assert joined == text


@pytest.mark.parametrize(
    ("text", "open_end"),
    [("Wohn", True), ("3", True), ("uno ", False), ("uno.", False), ("今天", False), ("", False)],
)
def test_word_is_not_spoken_before_its_end(text: str, open_end: bool) -> None:
    assert may_go_on(text) is open_end
