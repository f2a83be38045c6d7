"""SSML documents: what is spoken of them, faults by their place, and documents in pieces."""

from __future__ import annotations

import pytest

from kani.core.errors import InvalidRequest
from kani.text.markup import Break
from kani.text.ssml import Mark, SsmlDocument, SsmlGate, Style, parse
from kani.text.ssml.document import MAX_DEPTH, MAX_ELEMENTS, MAX_MARKS, MAX_REPLACEMENT
from kani.text.ssml.gate import MAX_PROLOG
from kani.text.ssml.scanner import MAX_ATTRIBUTES

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
    assert list(document.replacements) == [100 + WHOLE.rindex("W3C")]
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
