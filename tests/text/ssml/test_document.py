"""SSML documents: what is spoken of them, faults by their place, and documents in pieces.

What other services document of their SSML is spoken so, or named as unused.
"""

import pytest

from kani.core.errors import InvalidRequest
from kani_text.incremental_text import IncrementalText
from kani_text.markup import Break
from kani_text.normalizer import NormalizerOptions
from kani_text.segment_pipeline import Pause, SegmentPipeline
from kani_text.segment_queue import SegmentQueue
from kani_text.segmenter import WHOLE_SENTENCES, TextSegment
from kani_text.ssml import PLAIN_STYLE, Mark, SsmlDocument, SsmlGate, Style, parse
from kani_text.ssml.document import MAX_DEPTH, MAX_ELEMENTS, MAX_MARKS, MAX_REPLACEMENT
from kani_text.ssml.gate import MAX_PROLOG
from kani_text.ssml.scanner import MAX_ATTRIBUTES
from kani_text.types import Replacement
from tests.text.ssml.examples import SOURCES, Example

WHOLE = """<?xml version="1.0"?>
<!DOCTYPE speak PUBLIC "-//W3C//DTD SYNTHESIS 1.0//EN" "http://www.w3.org/synthesis.dtd">
<speak version="1.1" xml:lang="en-US"><!-- note --><p><s>One <mark name="a"/>two</s><s>three</s></p>
&#65;&amp;&eacute;&acE; <![CDATA[<x>]]> <sub alias="World Wide Web">W3C</sub>
<break time="500ms"/><prosody rate="slow"><emphasis>four</emphasis></prosody> \ue001
<audio src="a.mp3">five</audio>
</speak>"""


MANY = " ".join(f'a{number}="1"' for number in range(MAX_ATTRIBUTES + 1))


def written(document: SsmlDocument) -> str:
    return "".join(part for part in document.parts if isinstance(part, str))


def spoken(text: str) -> str:
    """The words of a document, its masks left out."""
    return " ".join(written(parse(text)).replace("\ue000", "").split())


def test_text_keeps_its_length_and_places() -> None:
    document = parse(WHOLE, 100)
    text = written(document)
    assert len(text) == len(WHOLE)
    for word in ("One", "two", "three", "four", "five", "W3C"):
        assert text.rindex(word) == WHOLE.rindex(word)
    assert text[WHOLE.index("&#65;")] == "A" and "\ue001" not in text
    assert document.marks == (Mark("a", 100 + WHOLE.index("two")),)
    assert document.unused == ("ssml.audio",)
    [replaced] = [at for at, part in enumerate(document.parts) if isinstance(part, Replacement)]
    assert document.parts[replaced] == Replacement(3, "World Wide Web")
    assert str(document.parts[replaced + 1]).startswith("W3C")
    pauses = [part for part in document.parts if isinstance(part, Break)]
    rates = [part.rate for part in document.parts if isinstance(part, Style)]
    assert pauses == [Break(0.5)]
    emphases = [part.emphasis.rate for part in document.parts if isinstance(part, Style)]
    assert rates == [1.0, 0.64, 0.64, 0.64, 1.0, 1.0]
    assert emphases == [1.0, 1.0, 0.92, 1.0, 1.0, 1.0]


def test_entities_are_one_character() -> None:
    assert spoken("<speak>&lt;b&gt; R&D &#x41; &nbsp;fin</speak>") == "<b> R&D A fin"


def test_sentences_and_paragraphs_end() -> None:
    assert spoken("<speak><p><s>Uno</s><s>dos.</s></p>tres</speak>") == "Uno. dos. tres"


def test_marks_are_at_next_word_or_pause() -> None:
    text = '<speak><mark name="a"/> uno<mark name="b"/><break time="1s"/> dos <mark name="c"/></speak>'
    marks = {mark.name: mark.at for mark in parse(text).marks}
    assert marks == {"a": text.index("uno"), "b": text.index(" dos"), "c": len(text)}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rate", {"80%": 0.8, "-20%": 0.8, "1.2": 1.2, "x-fast": 2.0, "9000%": 4.0}),
        ("pitch", {"+2st": 2.0, "+100%": 12.0}),
        ("volume", {"-6dB": -6.0, "x-loud": 12.0, "50": -6.02, "silent": -60.0}),
    ],
)
def test_prosody_values(name: str, values: dict[str, float]) -> None:
    for value, number in values.items():
        document = parse(f'<speak><prosody {name}="{value}">a</prosody></speak>')
        first = next(part for part in document.parts if isinstance(part, Style))
        found = {"rate": first.rate, "pitch": first.pitch, "volume": first.loudness}
        plain = {"rate": 1.0, "pitch": 0.0, "volume": 0.0}
        assert found == pytest.approx(plain | {name: number}, abs=0.01), value
        assert document.unused == ()


@pytest.mark.parametrize(
    ("inside", "name"),
    [
        ('<prosody contour="(0%,+20Hz)">a</prosody>', "ssml.prosody.contour"),
        ('<prosody pitch="+50Hz">a</prosody>', "ssml.prosody.pitch"),
        ('<prosody rate="soon">a</prosody>', "ssml.prosody.rate"),
        ('<say-as interpret-as="expletive">a</say-as>', "ssml.say-as.expletive"),
        ('<phoneme alphabet="x-sampa" ph="a">a</phoneme>', "ssml.phoneme.x-sampa"),
        ('<voice gender="female">a</voice>', "ssml.voice.gender"),
        ('<lang xml:lang="not a language">a</lang>', "ssml.lang"),
        ('<break time="soon"/>a', "ssml.break.time"),
        ('<amazon:effect name="whispered">a</amazon:effect>', "ssml.amazon:effect"),
        ('<audio src="file:///etc/passwd">a</audio>', "ssml.audio"),
        ("<metadata>b</metadata>a", "ssml.metadata"),
        ('<sub alias="b"/>a', "ssml.sub"),
    ],
)
def test_what_has_no_effect_is_named(inside: str, name: str) -> None:
    document = parse(f"<speak>{inside}</speak>")
    assert document.unused == (name,)
    assert spoken(f"<speak>{inside}</speak>") == "a"


@pytest.mark.parametrize(
    ("text", "line", "column", "problem"),
    [
        ("<speak>a", 1, 1, "<speak> is not closed: add </speak>"),
        ("<speak>\n<p>a</s></p></speak>", 2, 5, "</s> comes before </p>, which has to come first"),
        ("<speak>a</p></speak>", 1, 9, "</p> comes before </speak>"),
        ("<speak>\n a <p</speak>", 2, 4, "the tag <p is not complete"),
        ("<speak><break time=1s/></speak>", 1, 8, "the tag <break is not complete"),
        ("<speak>3 < 4</speak>", 1, 10, '"<" begins no tag: write it as &lt;'),
        ("uno <speak/>", 1, 1, "before <speak>"),
        ("<speak/> uno", 1, 9, "after </speak>"),
        ("<speak>&lol;</speak>", 1, 8, "the entity &lol; is not known"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><speak/>', 1, 1, "declarations are not accepted"),
        ("<speak><!ENTITY a 'b'></speak>", 1, 8, "declarations are not accepted"),
        ("<speak><!-- a</speak>", 1, 8, "<!-- has no --> after it"),
        ("<speak><sub>a</sub></speak>", 1, 8, "<sub> needs the attribute alias"),
        ('<speak><sub alias="a"><b/></sub></speak>', 1, 23, "<sub> cannot contain <b>"),
        ('<speak><phoneme ph="q1">a</phoneme></speak>', 1, 8, "<phoneme> has a \"ph\" that has '1'"),
        ("<speak><mark/></speak>", 1, 8, "<mark> needs a name"),
        ('<speak a="1" a="2"/>', 1, 1, "<speak> has an attribute twice"),
        ("<speak></speak a='1'>", 1, 8, "</speak> has more than a name"),
        ("<speak>" + "<s>" * MAX_DEPTH, 1, 8 + 3 * (MAX_DEPTH - 1), "<s> is too deep"),
        ("<speak>" + "<s/>" * MAX_ELEMENTS, 1, 8 + 4 * (MAX_ELEMENTS - 1), "there are too many tags"),
        (f'<speak><sub alias="{"a" * (MAX_REPLACEMENT + 1)}">a</sub></speak>', 1, 8, "<sub> is too long"),
        ("<speak>" + '<mark name="a"/>' * (MAX_MARKS + 1), 1, 8 + 16 * MAX_MARKS, "there are too many marks"),
        (f"<speak {MANY}/>", 1, 1, "<speak> has too many attributes"),
    ],
)
def test_faults_are_named_with_line_column_and_tag(text: str, line: int, column: int, problem: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        parse(text)
    assert str(raised.value).startswith(f"text: SSML, line {line}, column {column}: ")
    assert problem in str(raised.value)
    assert raised.value.details is not None
    assert raised.value.details.values == {"line": line, "column": column}


def test_unused_names_are_bounded() -> None:
    document = parse("<speak>" + "".join(f"<x{number}/>" for number in range(900)) + "</speak>")
    assert len(document.unused) == 50


def passed(gate: SsmlGate, *pieces: str) -> list[str | SsmlDocument]:
    return [found for found in [*map(gate.feed, pieces), gate.finish()] if found]


BEFORE = [
    *("", " \n\ufeff", '<?xml version="1.0"?>\n', "<!-- a --> "),
    '<?xml version="1.0"?><!-- <speak> -->\n<!--b-->',
    '<!DOCTYPE speak PUBLIC "-//W3C//DTD SYNTHESIS 1.0//EN" "synthesis.dtd">',
]


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("before", BEFORE)
def test_document_is_found_however_it_is_cut(before: str, size: int) -> None:
    text = before + '<speak>a <mark name="m"/>b</speak>'
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    found = passed(SsmlGate(), *pieces)
    assert len(found) == 1 and isinstance(found[0], SsmlDocument)
    assert found[0].marks == (Mark("m", text.index("b</")),)


def test_positions_go_on_in_next_document() -> None:
    first, second = "<speak>a</speak> ", '<speak><mark name="m"/>b</speak>'
    found = passed(SsmlGate(), first, second)
    assert isinstance(found[1], SsmlDocument)
    assert found[1].marks == (Mark("m", len(first) + second.index("b</")),)


OTHER = [
    *("Hola", " <speaker>a", "<b>a</b>", "a <speak>b", "<spea", "<SPEAK>a", "<!-- a --> b", "<!-- a"),
    *("<!DOCTYPE html>", f"<!--{'a' * MAX_PROLOG}--><speak>b</speak>"),
]


@pytest.mark.parametrize("text", OTHER)
def test_other_text_passes(text: str) -> None:
    assert "".join(str(part) for part in passed(SsmlGate(), *text)) == text


def test_request_decides() -> None:
    document = "<speak>a</speak>"
    assert passed(SsmlGate(False), document) == [document]
    assert isinstance(passed(SsmlGate(True), 'a <break time="1s"/> b')[0], SsmlDocument)
    assert isinstance(passed(SsmlGate(True), document)[0], SsmlDocument)


def test_document_without_end_is_refused_at_the_end_of_the_text() -> None:
    gate = SsmlGate()
    assert gate.feed("<speak>a") == "" and gate.holding and gate.release() == ""
    with pytest.raises(InvalidRequest, match="<speak> is not closed"):
        gate.finish()
    assert not gate.holding


def test_uncertain_beginning_is_released_as_text() -> None:
    gate = SsmlGate()
    assert gate.feed("<sp") == "" and gate.release() == "<sp"
    assert gate.feed("eak>") == "eak>"


async def parts_of(
    text: str, language: str, *, open_segments: bool = False, **how: bool
) -> tuple[list[IncrementalText | Pause], SegmentQueue]:
    """The pauses and the segments with something to say of a document, and their queue at its end."""
    queue = SegmentQueue()
    queue.feed(text)
    queue.finish()
    pipeline = SegmentPipeline(WHOLE_SENTENCES, language, ["en", "es"], **how)
    queue.start(pipeline, open_segments=open_segments)
    parts: list[IncrementalText | Pause] = []
    while (part := await queue.next()) is not None:
        if isinstance(part, TextSegment):
            part = queue.begin_segment(part, _no_slot, NormalizerOptions(language, None, True, language))
        if isinstance(part, Pause) or part.text:
            parts.append(part)
    return parts, queue


def _no_slot() -> None:  # type: ignore[misc]
    raise AssertionError("no text is awaited here")


@pytest.mark.parametrize("example", [each for examples in SOURCES.values() for each in examples])
async def test_documented_structures(example: Example) -> None:
    parts, queue = await parts_of(example.text, example.language, open_segments=True)
    spoken = [part.seconds if isinstance(part, Pause) else part.text for part in parts]
    assert (spoken, sorted(queue.unused)) == (example.spoken, sorted(example.unused))


@pytest.mark.parametrize(
    ("text", "styles"),
    [
        (
            '<prosody rate="slow" pitch="-2st" volume="loud">a b</prosody>',
            [Style(None, None, 0.64, -2.0, 6.0)],
        ),
        ('<prosody volume="+6dB">a b c</prosody>', [Style(loudness=6.0)]),
        ('<emphasis level="strong">a b c</emphasis>', [Style(None, None, 0.85, 1.0, 3.0)]),
        ('a b c <emphasis level="none">d</emphasis>', [PLAIN_STYLE]),
        ('<lang xml:lang="fr-FR">Paris</lang>', [Style("fr-FR")]),
        ('<voice language="fr-fr" name="ff_siwis">Paris</voice>', [Style("fr-FR", "ff_siwis")]),
        (
            '<prosody rate="200%">a b <prosody rate="200%">c d</prosody></prosody> e f',
            [Style(rate=2.0), Style(rate=4.0), PLAIN_STYLE],
        ),
    ],
)
async def test_styles_of_segments(text: str, styles: list[Style]) -> None:
    parts, queue = await parts_of(f"<speak>{text}</speak>", "en-US")
    assert [part.style for part in parts] == styles and queue.unused == []


async def test_phoneme_and_its_place() -> None:
    text = '<speak>A <phoneme alphabet="ipa" ph="təˈmeɪtoʊ">tomato</phoneme>.</speak>'
    ([segment], _) = await parts_of(text, "en")
    [pronunciation] = segment.spoken.pronunciations
    start, end = segment.spoken.origin(pronunciation.start, pronunciation.end)
    assert (pronunciation.ipa, text[start:end]) == ("təˈmeɪtoʊ", "tomato")


async def test_emphasized_words_stay_in_their_sentence() -> None:
    text = (
        '<speak xml:lang="en-US">It is a <emphasis>large and 21</emphasis> year old <emphasis level="strong">'
        'house<emphasis level="reduced"> here</emphasis></emphasis>. <emphasis>Yes.</emphasis> '
        '<emphasis>No <prosody rate="80%">rest</prosody> here</emphasis>.</speak>'
    )
    parts, _ = await parts_of(text, "en-US", emphasizes=True)
    emphasized = [
        [(part.text[one.start : one.end].strip(), one.rate) for one in part.emphases] for part in parts
    ]
    found = [(part.text, part.style.rate, each) for part, each in zip(parts, emphasized, strict=True)]
    assert found == [
        (
            "It is a large and twenty-one year old house here. Yes.",
            1.0,
            [("large and twenty-one", 0.92), ("house", 0.85), ("here", 0.85 * 1.08), ("Yes.", 0.92)],
        ),
        ("No", 1.0, [("No", 0.92)]),
        ("rest", 0.8, [("rest", 0.92)]),
        ("here.", 1.0, [("here", 0.92)]),
    ]


async def test_long_replacements_end_segments() -> None:
    text = "<speak>" + f'<sub alias="{"many words " * 15}">a</sub> ' * 20 + "</speak>"
    parts, _ = await parts_of(text, "en", open_segments=True)
    assert len(parts) == 20
