"""What other services document of their SSML, in sentences of our own: spoken so, or named as unused.

The structures are those of W3C's recommendation and of the pages of Azure, Google and Amazon Polly.
"""

from __future__ import annotations

import pytest

from kani.text.normalizer import NormalizerOptions
from kani.text.segment_pipeline import Pause
from kani.text.segment_queue import SegmentQueue
from kani.text.segmenter import WHOLE_SENTENCES
from kani.text.ssml import PLAIN_STYLE, Style

AZURE_ROOT = (
    '<speak version="1.0" xmlns="http://www.w3.org/2001/10/synthesis" '
    'xmlns:mstts="https://www.w3.org/2001/mstts" xml:lang="{language}">'
)

Spoken = list[str | float]
"""Spoken segments, and pauses in seconds."""


async def read(text: str, language: str) -> tuple[Spoken, list[str], list[Style]]:
    """What is spoken of a document, what is named as unused, and the styles of the segments."""
    queue = SegmentQueue()
    queue.feed(text)
    queue.finish()
    queue.start(WHOLE_SENTENCES, language, ["en", "es"], open_segments=True)
    spoken: Spoken = []
    styles = []
    while (part := await queue.next()) is not None:
        if isinstance(part, Pause):
            spoken.append(part.seconds)
            continue
        options = NormalizerOptions(language, None, True, language)
        segment = queue.begin_segment(part, _no_slot, options)
        if segment.text:
            spoken.append(segment.text)
            styles.append(segment.style)
    return spoken, queue.unused, styles


def _no_slot() -> None:  # type: ignore[misc]
    raise AssertionError("no text is awaited here")


def said(kind: str, content: str, form: str = "") -> str:
    """A ``<say-as>`` in a document of its own."""
    extra = f' format="{form}"' if form else ""
    return f'<speak><say-as interpret-as="{kind}"{extra}>{content}</say-as></speak>'


@pytest.mark.parametrize(
    ("text", "spoken", "unused"),
    [
        # W3C
        (
            '<?xml version="1.0"?>\n<speak version="1.1" xmlns="http://www.w3.org/2001/10/synthesis">\n'
            "<p>\n<s>You have two new letters.</s>\n<s>The first is from Ana Ruiz</s></p>\n</speak>",
            ["You have two new letters.", "The first is from Ana Ruiz."],
            [],
        ),
        ("<speak>Take a breath <break/> and go on.</speak>", ["Take a breath", 0.75, "and go on."], []),
        ('<speak>Press one <break time="3s"/> or wait.</speak>', ["Press one", 3.0, "or wait."], []),
        ('<speak>No <break strength="none"/> rest here.</speak>', ["No rest here."], []),
        (
            '<speak><sub alias="World Wide Web Consortium">W3C</sub></speak>',
            ["World Wide Web Consortium"],
            [],
        ),
        (
            '<speak>It is <w role="noun">lead</w>, not <token>tin</token>.</speak>',
            ["It is lead, not tin."],
            [],
        ),
        (
            '<speak><lexicon uri="http://a.example/b.pls"/><lookup ref="b">Hello there.</lookup></speak>',
            [],
            ["ssml.lexicon", "ssml.lookup"],
        ),
        (
            '<speak><audio src="a.wav"><desc>a bell</desc>The bell rings.</audio></speak>',
            ["The bell rings."],
            ["ssml.audio", "ssml.desc"],
        ),
        # Azure
        (
            AZURE_ROOT.format(language="en-US")
            + '<voice name="en-US-AvaNeural"><mstts:express-as style="cheerful">It works!</mstts:express-as>'
            "</voice></speak>",
            ["It works!"],
            ["ssml.mstts:express-as"],
        ),
        (
            AZURE_ROOT.format(language="en-US")
            + '<mstts:silence type="Sentenceboundary" value="200ms"/>If so.'
            '<bookmark mark="flower"/></speak>',
            ["If so."],
            ["ssml.mstts:silence"],
        ),
        (said("address", "150th Ct"), ["one hundred fiftieth Ct"], ["ssml.say-as.address"]),
        (said("currency", "99.9 USD"), ["ninety-nine point nine dollars"], []),
        (said("date", "10-12-2016", "mdy"), ["October twelfth, twenty sixteen"], []),
        (said("time", "4:00am", "hms12"), ["four a m."], []),
        (said("telephone", "(888) 555-1212"), ["eight eight eight, five five five, one two one two"], []),
        (said("cardinal", "10"), ["ten"], []),
        (said("ordinal", "3rd"), ["third"], []),
        (said("spell-out", "test"), ["T E S T"], []),
        # Google
        (said("currency", "$42.01"), ["forty-two dollars and one cent"], []),
        (said("verbatim", "abcdefg"), ["A B C D, E F G"], []),
        (said("date", "1960-09-10", "yyyymmdd"), ["September tenth, nineteen sixty"], []),
        (said("date", "10-9-1960", "dmy"), ["September tenth, nineteen sixty"], []),
        (said("characters", "can"), ["C A N"], []),
        (said("cardinal", "12345"), ["twelve thousand three hundred forty-five"], []),
        (said("ordinal", "1"), ["first"], []),
        (said("fraction", "5+1/2"), ["five plus one over two"], ["ssml.say-as.fraction"]),
        (said("unit", "10 foot"), ["ten foot"], []),
        (said("time", "2:30pm", "hms12"), ["two thirty p m."], []),
        (said("telephone", "1800-202-1212"), ["one eight zero zero, two zero two, one two one two"], []),
        (
            '<speak>Go from <mark name="here"/> here, to <mark name="there"/> there!</speak>',
            ["Go from here, to there!"],
            [],
        ),
        (
            '<speak><par><media xml:id="a"><speak>One</speak></media></par></speak>',
            ["One"],
            ["ssml.par", "ssml.media"],
        ),
        # Amazon Polly
        (
            '<speak>I <amazon:effect name="whispered">like it</amazon:effect>.</speak>',
            ["I like it."],
            ["ssml.amazon:effect"],
        ),
        (said("digits", "90210"), ["nine zero two one, zero"], []),
        (said("number", "1999"), ["one thousand nine hundred ninety-nine"], []),
        (said("date", "9/10", "md"), ["September tenth"], []),
        (said("date", "2027", "y"), ["twenty twenty-seven"], []),
        (said("date", "20270910"), ["September tenth, twenty twenty-seven"], []),
        (said("unit", "5kg"), ["five kilograms"], []),
        (said("expletive", "darn"), ["darn"], ["ssml.say-as.expletive"]),
    ],
)
async def test_documented_structures(text: str, spoken: Spoken, unused: list[str]) -> None:
    found, names, _ = await read(text, "en-US")
    assert (found, sorted(names)) == (spoken, sorted(unused))


@pytest.mark.parametrize(
    ("text", "styles"),
    [
        (
            '<prosody rate="slow" pitch="-2st" volume="loud">a b c</prosody>',
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
    _, unused, found = await read(f"<speak>{text}</speak>", "en-US")
    assert found == styles and unused == []


@pytest.mark.parametrize(
    ("language", "text", "spoken"),
    [
        ("es", said("date", "3/2/2026", "dmy"), ["tres de febrero de dos mil veintiséis"]),
        ("es", said("characters", "ñB-7"), ["eñe be guion siete"]),
        ("de", said("telephone", "030 1234"), ["null drei null, eins zwei drei vier"]),
        ("fr", said("cardinal", "1 234"), ["mille deux cent trente-quatre"]),
        ("zh", said("date", "2/3/2026", "mdy"), ["二零二六年二月三日"]),
        ("zh", said("characters", "A1"), ["A 一"]),
        ("zh", '<speak>在<sub alias="万维网联盟">W3C</sub>工作</speak>', ["在万维网联盟工作"]),
        ("ru", said("ordinal", "3"), ["3"]),
    ],
)
async def test_languages(language: str, text: str, spoken: Spoken) -> None:
    found, _, _ = await read(text, language)
    assert found == spoken


async def test_phoneme_and_its_place() -> None:
    text = '<speak>A <phoneme alphabet="ipa" ph="təˈmeɪtoʊ">tomato</phoneme>.</speak>'
    queue = SegmentQueue()
    queue.feed(text)
    queue.finish()
    queue.start(WHOLE_SENTENCES, "en", ["en"], open_segments=False)
    part = await queue.next()
    assert part is not None and not isinstance(part, Pause)
    spoken = queue.begin_segment(part, _no_slot, NormalizerOptions("en", None, True, "en")).spoken
    [pronunciation] = spoken.pronunciations
    start, end = spoken.origin(pronunciation.start, pronunciation.end)
    assert (pronunciation.ipa, text[start:end]) == ("təˈmeɪtoʊ", "tomato")


async def test_long_replacements_end_segments() -> None:
    text = "<speak>" + f'<sub alias="{"many words " * 15}">a</sub> ' * 20 + "</speak>"
    spoken, _, _ = await read(text, "en")
    assert len(spoken) == 20
