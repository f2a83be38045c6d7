"""Subtitles and word times that the page writes, in each of its languages, run by Node."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest

from tests.page.test_page_modules import run

TEXT = 'One <b>, "two" & 3. Four 🎉 five'
SPANS = [
    [0, 3, 0.1, 0.4],
    [9, 14, 0.5, 0.9],
    [15, 16, 0.9, 1.0],
    [17, 19, 1.0, 1.4],
    [20, 24, 2, 2.5],
    [27, 31, 3661, 3661.2],
]
"""Spans of a text with a tag that is not said."""


def test_times_of_words_become_subtitles() -> None:
    srt, vtt, written = run(
        "subtitles.js",
        "const words = m.timedWords(a[0], a[1]); return [m.srt(words), m.vtt(words), m.json(words)];",
        TEXT,
        SPANS,
    )
    assert srt.split("\n\n")[0] == '1\n00:00:00,100 --> 00:00:02,500\nOne, "two" & 3. Four 🎉'
    assert srt.split("\n\n")[1] == "2\n01:01:01,000 --> 01:01:02,000\nfive"
    assert vtt.startswith("WEBVTT\n\n00:00:00.100 --> 00:00:02.500\n") and "&amp; 3" in vtt
    assert json.loads(written)["words"][0] == {"word": "One", "start": 0.1, "end": 0.4}
    assert len(json.loads(written)["words"]) == 5


SUBTITLED = {
    "ar": (
        "مرحبا بكم جميعا في مدينتنا القديمة، حيث تلتقي الجبال بالبحر. هل تريدون أن تزوروا السوق، أم"
        " المتحف الكبير؟"
    ),
    "en": (
        "Hello there, this is a file that somebody wants to keep for ever and ever. It cost $25.50 "
        'in 2024! Was it "worth it" (or not)? Yes. Mr. Smith, who lives near the harbour in an old '
        "house with a green door, thinks so; his daughter, however, does not agree with him at all."
    ),
    "es": (
        "¿Qué tal, «Ana»? ¡Hoy hace un día estupendo! Esta tarde, si no llueve, iremos con los "
        "niños al parque que está detrás de la estación; después cenaremos en casa."
    ),
    "fr": (
        "Bonjour à tous ! Est-ce que vous avez bien dormi ? Le train de 7 h 30, qui vient de Lyon, "
        "n'arrivera pas avant midi : il y a des travaux « importants » sur la ligne, paraît-il…"
    ),
    "hi": (
        "नमस्ते दोस्तों, आज मौसम बहुत अच्छा है। क्या आप हमारे साथ नदी के किनारे वाले पुराने मंदिर "
        "तक चलेंगे, या घर पर ही रहेंगे? जल्दी बताइए!"
    ),
    "ja": (
        "おはようございます。今日は天気がとても良いので、駅の近くの大きな公園まで一緒に歩きませんか"
        "？「はい」と言ってください！"
    ),
    "pt": (
        "Olá, bom dia! O comboio das 9h15, que vem do Porto, chega hoje com quarenta minutos de "
        "atraso; quem quiser pode esperar no café (é muito bom) ao lado da estação."
    ),
    "zh": (
        "你好，世界。今天天气很好，我们一起去公园散步吧！这句话很长很长，因为我们想知道字幕在没有空"
        "格的文字里会在哪里换行，以及它是否会在逗号之后结束。"
    ),
}
UNSPACED = ("ja", "zh")
WIDEST, LONGEST_S = 42, 7


def spans_of(text: str, language: str) -> list[tuple[int, int, float, float]]:
    """Spans of the words without the marks beside them, as the server sends them; 12 characters a second."""
    spans = []
    begin = 0
    for at in range(len(text) + 1):
        if at < len(text) and not text[at].isspace() and language not in UNSPACED:
            continue
        marked = text[begin:at] if language not in UNSPACED else text[at : at + 1]
        begin = begin if language not in UNSPACED else at
        letters = [n for n, char in enumerate(marked) if unicodedata.category(char)[0] in "LNSM"]
        if letters:
            start, end = begin + letters[0], begin + letters[-1] + 1
            spans.append((start, end, round(start / 12, 3), round(end / 12, 3)))
        begin = at + 1
    return spans


def columns(line: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in line)


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.replace(",", ".").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


@pytest.mark.parametrize("language", SUBTITLED)
def test_subtitles_keep_the_marks_and_end_with_sentences(language: str) -> None:
    text = SUBTITLED[language]
    spans = spans_of(text, language)
    srt = run("subtitles.js", "return m.srt(m.timedWords(a[0], a[1]));", text, spans)
    cues = [block.split("\n")[1:] for block in srt.removesuffix("\n\n").split("\n\n")]
    shown = [lines for _, *lines in cues]
    assert "".join("".join(lines) for lines in shown).replace(" ", "") == text.replace(" ", "")
    for times, *lines in cues:
        begin, end = map(seconds, times.split(" --> "))
        assert 0 < end - begin <= LONGEST_S
        assert len(lines) <= 2 and max(map(columns, lines)) <= WIDEST
        assert language in UNSPACED or len(" ".join(lines).split()) > 1, lines
        # One that stands within a cue is of a word that would have been one by itself.
        inner = re.split(r"(?<=[.!?…。！？।؟])\s+", " ".join(lines))[:-1]
        assert all(len(sentence.split()) == 1 for sentence in inner), lines


def test_cues_are_divided_behind_a_clause_near_their_middle() -> None:
    text = SUBTITLED["en"]
    body = "return m.srt(m.timedWords(a[0], a[1]));"
    srt = run("subtitles.js", body, text, spans_of(text, "en"))
    assert [" / ".join(block.split("\n")[2:]) for block in srt.split("\n\n")[:-1]] == [
        "Hello there, this is a file that / somebody wants to keep for ever and ever.",
        "It cost $25.50 in 2024!",
        'Was it "worth it" (or not)?',
        "Yes. Mr. Smith, who lives near the / harbour in an old house with a green door,",
        "thinks so; his daughter, however, / does not agree with him at all.",
    ]


def test_words_of_a_recognised_sentence_get_their_marks_back() -> None:
    sentence = {"text": "Hello, world: it's 5%, isn't it?", "start": 1, "end": 3, "glued": True}
    heard = [
        (" Hello", 1, 1.4),
        ("world", 1.4, 2),
        ("it's", 2, 2.2),
        ("5", 2.2, 2.4),
        ("isn't", 2.4, 2.7),
        ("it", 2.7, 3),
    ]
    words = [{"word": word, "start": start, "end": end} for word, start, end in heard]
    found = run("subtitles.js", "return m.sentenceWords(a[0], a[1]);", sentence, words)
    assert [word["text"] for word in found] == ["Hello,", "world:", "it's", "5%,", "isn't", "it?"]
    assert [word["word"] for word in found] == ["Hello", "world", "it's", "5", "isn't", "it"]
    assert found[0]["glued"] and found[-1]["end"] == 3
    assert run("subtitles.js", "return m.sentenceWords(a[0]);", sentence) == [sentence]


@pytest.mark.parametrize(
    ("text", "spans", "shown"),
    [
        pytest.param("你好世界", [[0, 2, 0, 0.5], [2, 4, 0.5, 1]], "你好世界", id="no spaces"),
        pytest.param(
            "[voice:af_heart] Hello [pause:0.5s] Ana.",
            [[17, 22, 0, 0.5], [36, 39, 1, 1.5]],
            "Hello Ana.",
            id="marks of the page",
        ),
        pytest.param("approx. ten", [[0, 6, 0, 0.5], [8, 11, 0.5, 1]], "approx. ten", id="no end"),
        pytest.param("… !", [], "", id="nothing said"),
    ],
)
def test_text_of_a_cue(text: str, spans: list[list[float]], shown: str) -> None:
    srt = run("subtitles.js", "return m.srt(m.timedWords(a[0], a[1]));", text, spans)
    assert "\n".join(srt.split("\n")[2:]).strip() == shown
