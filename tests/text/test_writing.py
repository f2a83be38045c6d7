"""Facts of writing, and that every part of the server goes by the same ones."""

from collections.abc import Sequence

import pytest

from kani.books.book import Book, Chapter
from kani.books.plan import MAX_PIECE, Manner, pieces_of
from kani.core.conversation.input.transcript import Transcript
from kani.core.recognizer import RecognizedWord
from kani.core.subtitles import CueBuilder, Word, WordTimer
from kani.core.transcriber import TranscribedSegment, TranscribedWord
from kani.core.turns.words import goes_on
from kani.core.types import Span
from kani.engines.elevenlabs.times import CharacterTimes
from kani.engines.espeak.native import WordEvent
from kani.engines.espeak.words import WordGrouper
from kani.engines.kokoro.windows import MARKS
from kani.engines.packages.recognizer import SegmentBuilder
from kani.runtime.recognition.hypothesis import Hypothesis
from kani.runtime.recognition.local_agreement import HypothesisWord, words_from_tokens
from kani.runtime.transcript import ends_segment
from kani_text.boundaries import BreakKind, phrase_breaks
from kani_text.lexicon import Lexicon
from kani_text.segment_pipeline import SegmentPipeline
from kani_text.segmenter import EARLY_PHRASE, TextSegment
from kani_text.writing import (
    UNSPACED_LANGUAGES,
    ends_clause,
    ends_sentence,
    ends_turn,
    is_left_open,
    is_unspaced,
    space_between,
)

UNSPACED_TEXTS = {
    "zh": "今天天气很好", "yue": "今日天氣好好", "ja": "カタカナとひらがな", "th": "สวัสดีครับ", "lo": "ສະບາຍດີ",
    "my": "မင်္ဂလာပါ", "shn": "မႂ်ႇသုင်ၶႃႈ", "km": "សួស្តី", "bo": "བཀྲ་ཤིས་བདེ་ལེགས",
}  # fmt: skip


def test_scripts_without_spaces() -> None:
    assert UNSPACED_TEXTS.keys() == UNSPACED_LANGUAGES
    for text in UNSPACED_TEXTS.values():
        assert all(map(is_unspaced, text)), text
    assert not any(map(is_unspaced, "aé5я한नع. -")) and not is_unspaced("")


@pytest.mark.parametrize(
    ("texts", "sentence", "turn"),
    [
        (
            ["end.", "end!", "end?", 'end."', "end?»", "“What?”", "„So.“", "»So.«", "终。", "(终。）"],
            True,
            True,
        ),
        (["ختم۔", "है।", "վերջ։", "ចប់។", "ပြီး။", "ማለቅ።", "रामः॥", "انتهى؟", "｡"], True, True),
        (["well…", "well...", "“well…”"], True, False),
        (["", "end", "end,", "end;", "3.5", '"', "end —"], False, False),
    ],
)
def test_marks_of_ends_may_stand_inside_a_quotation(texts: list[str], sentence: bool, turn: bool) -> None:
    assert {text: ends_sentence(text) for text in texts} == dict.fromkeys(texts, sentence)
    assert {text: ends_turn(text) for text in texts} == dict.fromkeys(texts, turn)


@pytest.mark.parametrize(
    ("texts", "clause", "left_open"),
    [
        (["so,", "so;", "so:", "so —", "so–", "”so,”", "所以，", "所以、", "لكن،"], True, True),
        (["so…", "so...", "so-"], False, True),
        (["so", "so.", "", "so)"], False, False),
    ],
)
def test_marks_that_more_follows(texts: list[str], clause: bool, left_open: bool) -> None:
    assert {text: ends_clause(text) for text in texts} == dict.fromkeys(texts, clause)
    assert {text: is_left_open(text) for text in texts} == dict.fromkeys(texts, left_open)


JOINED = [
    ("es", "Hola, mundo."),
    ("zh", "今天 天气 很好。 你好", "今天天气很好。你好"),
    ("zh", "嗯… 我 有 3 个, 对", "嗯…我有3个,对"),
    ("th", "สวัสดี ครับ", "สวัสดีครับ"),
    ("km", "សួស្តី បង", "សួស្តីបង"),
    ("ja", "これは iPhone 15 です", "これは iPhone 15です"),
    ("ja", "これは machine learning です"),
    ("ko", "안녕 하세요"),
    ("en", "Say 你好 (hello) now"),
]


@pytest.mark.parametrize(("language", "words", "text"), [(*row, row[1])[:3] for row in JOINED])
def test_words_are_joined_as_they_are_written(language: str, words: str, text: str) -> None:
    """Alike by Wyoming, by Realtime, and in the segments of packages."""
    joined, transcript, builder = "", Transcript("item"), SegmentBuilder(language, [language])
    segments: list[TranscribedSegment | None] = []
    for word in words.split():
        joined += space_between(joined, word) + word
        transcript.add(RecognizedWord(word, 0.0, 0.0, language), 0.0)
        segments.append(builder.add(TranscribedWord(word, 0.0, 0.0, 0.0)))
    whole = "".join(segment.text for segment in (*segments, builder.finish()) if segment is not None)
    assert joined == transcript.text == whole.strip() == text


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ("ស|ួ|ស្តី|បង", "សួ|ស្តី|បង"),
        ("我|用| Kube|rnetes|。", "我|用|Kubernetes。"),
        ("20|24|年| machine| learning", "2024|年|machine|learning"),
    ],
)
def test_words_of_tokens_without_spaces(tokens: str, words: str) -> None:
    """A run of whole characters is a word of Khmer as of Chinese; words of other scripts stay whole."""
    pieces = tokens.split("|")
    found = words_from_tokens(
        range(len(pieces)), lambda some: "".join(pieces[at] for at in some), spaced=False
    )
    assert [word.text for word in found] == words.split("|")


@pytest.mark.parametrize("language", ["zh", "th", "bo"])
def test_endings_of_words_tell_nothing_in_scripts_without_spaces(language: str) -> None:
    assert not goes_on(["A-B"], language) and goes_on(["A-B"], "zz")


@pytest.mark.parametrize(
    ("text", "name"),
    [("ภาษาไทยครับ", "ไทย"), ("东京很大", "东京"), ("ខ្ញុំនិយាយខ្មែរបាន", "ខ្មែរ"), ("ไท้ ไทย", "ไท")],
)
def test_lexicon_finds_words_between_others(text: str, name: str) -> None:
    """An entry ends before no mark that belongs to its last letter."""
    lexicon = Lexicon().with_request({name: "a"})
    found = [(at, match[0]) for at in range(len(text)) if (match := lexicon.match(text, at)) is not None]
    assert found == [(at := text.rindex(name), at + len(name))]


@pytest.mark.parametrize(("text", "at", "start"), [("สวัสดีครับ", 6, 6), ("བོད་སྐད", 4, 4), ("good day", 6, 5)])
def test_event_of_a_word_without_spaces_is_its_start(text: str, at: int, start: int) -> None:
    groups = WordGrouper(text)
    found = [*groups.feed([WordEvent(1, 0, 0), WordEvent(at + 1, 0, 300)], []), *groups.finish(900)]
    assert found[1].words[0][0] == start


def segments_of(text: str, language: str) -> list[str]:
    pipeline = SegmentPipeline(EARLY_PHRASE, language, [language])
    parts = pipeline.feed(text) + pipeline.flush(more_to_come=False)
    return [part.text for part in parts if isinstance(part, TextSegment)]


def cues_of(text: str, words: Sequence[Word]) -> list[tuple[str, ...]]:
    cues = CueBuilder(text)
    return [cue.lines for cue in [cue for word in words for cue in cues.add(word)] + cues.finish()]


def test_only_han_characters_and_kana_are_parted() -> None:
    """A Thai word has several characters: neither a segment nor a line of subtitles ends in it."""
    thai = "ภาษาไทยเป็นภาษาที่มีระดับเสียง ของคำแน่นอนหรือวรรณยุกต์เช่นเดียวกับ ภาษาจีนและออกเสียงแยกคำต่อคำ"
    chinese = "々" + "中文是世界上使用人数最多的语言之一也是联合国的工作语言之一" * 2
    assert {word for text in segments_of(thai, "th") for word in text.split()} == {*thai.split()}
    assert len(segments_of(chinese, "zh")) > 1
    for text, parted, lines in ((thai, thai.split(), 3), (chinese, [*chinese], 4)):
        words = WordTimer(text).feed([Span(0, len(text), 0.0, 5.0)])
        assert [word.text for word in words] == parted
        assert sum(map(len, cues_of(text, words))) == lines


def test_korean_words_are_whole() -> None:
    times = CharacterTimes()
    times.extend_text("오늘 날씨, 今日。")
    assert [(word.start, word.end) for word in times.finish(1.0)] == [(0, 2), (3, 6), (7, 8), (8, 9), (9, 10)]


@pytest.mark.parametrize(
    "text", ["„Komm.“ Dann", "»Komm.« Dann", "«Ven.» Luego", "“Go!” Then", "‚Ja.‘ Dann", "(Ja.) Dann"]
)
def test_sentence_ends_inside_a_quotation(text: str) -> None:
    assert [one.kind for one in phrase_breaks(text, 0, complete=True)] == [BreakKind.SENTENCE]


def pieces(sentence: str) -> list[str]:
    """Pieces of a book that says one sentence again and again."""
    book = Book("b", "", "", (Chapter("1", (sentence * (3 * MAX_PIECE // len(sentence)),)),))
    found = [piece.text for piece in pieces_of(book, Manner("espeak", "1"))]
    assert len(found) > 2
    return found


@pytest.mark.parametrize("mark", [".", "?", "…", "।", "۔", "؟", "。", "။", "།", "።"])
def test_sentence_ends_alike_for_all(mark: str) -> None:
    """Of a segment of a transcript, a cue of subtitles, a piece of a book, and where Kokoro pauses."""
    assert ends_segment(f"so{mark}", 0.0, 0) and mark in MARKS
    words = Word(f"*so{mark}”*", 0, 7, 0.0, 0.5), Word("And", 8, 11, 1.0, 1.4)
    assert cues_of(f"*so{mark}”* And", words) == [(f"*so{mark}”*",), ("And",)]
    assert all(text.endswith(mark) for text in pieces(f"Words go on{mark} "))


def test_piece_of_a_book_ends_with_no_abbreviation() -> None:
    assert all(text.endswith("ago.") for text in pieces("Dr. Ruiz came 3.5 years ago. "))


@pytest.mark.parametrize(("word", "ended"), [("well…", False), ("well...", False), ("well.", True)])
def test_speaker_goes_on_after_an_ellipsis(word: str, ended: bool) -> None:
    hypothesis = Hypothesis()
    hypothesis.decide(HypothesisWord(word, ()), 1.0, "en")
    assert hypothesis.sentence_ended is ended
