"""What other services document of their SSML: spoken so, or named as unused."""

from __future__ import annotations

import pytest

from kani.text.normalizer import NormalizerOptions
from kani.text.segment_pipeline import Pause
from kani.text.segment_queue import SegmentQueue
from kani.text.segmenter import WHOLE_SENTENCES
from kani.text.ssml import PLAIN_STYLE, Style
from tests.text.ssml.examples import SOURCES, Example, Spoken


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


@pytest.mark.parametrize("example", [each for examples in SOURCES.values() for each in examples])
async def test_documented_structures(example: Example) -> None:
    found, names, _ = await read(example.text, example.language)
    assert (found, sorted(names)) == (example.spoken, sorted(example.unused))


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


async def test_emphasized_words_stay_in_their_sentence() -> None:
    text = (
        '<speak xml:lang="en-US">It is a <emphasis>large and 21</emphasis> year old <emphasis level="strong">'
        'house<emphasis level="reduced"> here</emphasis></emphasis>. <emphasis>Yes.</emphasis> '
        '<emphasis>No <prosody rate="80%">rest</prosody> here</emphasis>.</speak>'
    )
    queue = SegmentQueue()
    queue.feed(text)
    queue.finish()
    queue.start(WHOLE_SENTENCES, "en-US", ["en"], open_segments=False, emphasizes=True)
    found = []
    while (part := await queue.next()) is not None:
        assert not isinstance(part, Pause)
        segment = queue.begin_segment(part, _no_slot, NormalizerOptions("en", None, True, "en"))
        emphasized = [(segment.text[one.start : one.end].strip(), one.rate) for one in segment.emphases]
        if segment.text:
            found.append((segment.text, segment.style.rate, emphasized))
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
    spoken, _, _ = await read(text, "en")
    assert len(spoken) == 20
