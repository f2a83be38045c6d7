"""What other services document of their SSML (examples.tsv): spoken so, or named as unused.

The structures are those of W3C's recommendation and of the pages of Azure, Google and Amazon Polly, in
sentences of our own. ``<0.5>`` is a pause, in seconds.
"""

from __future__ import annotations

import pytest

from kani.text.incremental_text import IncrementalText
from kani.text.normalizer import NormalizerOptions
from kani.text.segment_pipeline import Pause
from kani.text.segment_queue import SegmentQueue
from kani.text.segmenter import WHOLE_SENTENCES, TextSegment
from kani.text.ssml import PLAIN_STYLE, Style
from tests.support.tables import rows


async def parts_of(
    text: str, language: str, **how: bool
) -> tuple[list[IncrementalText | Pause], SegmentQueue]:
    """The pauses and the segments with something to say of a document, and their queue at its end."""
    queue = SegmentQueue()
    queue.feed(text)
    queue.finish()
    queue.start(WHOLE_SENTENCES, language, ["en", "es"], **{"open_segments": False} | how)
    parts: list[IncrementalText | Pause] = []
    while (part := await queue.next()) is not None:
        if isinstance(part, TextSegment):
            part = queue.begin_segment(part, _no_slot, NormalizerOptions(language, None, True, language))
        if isinstance(part, Pause) or part.text:
            parts.append(part)
    return parts, queue


def _no_slot() -> None:  # type: ignore[misc]
    raise AssertionError("no text is awaited here")


def said(parts: list[IncrementalText | Pause]) -> list[str]:
    return [f"<{part.seconds:g}>" if isinstance(part, Pause) else part.text for part in parts]


@pytest.mark.parametrize(
    ("language", "document", "spoken", "unused"),
    [pytest.param(*row, id=source) for source, *row in rows(__file__, "examples.tsv")],
)
async def test_documented_structures(language: str, document: str, spoken: str, unused: str) -> None:
    parts, queue = await parts_of(document, language, open_segments=True)
    assert (" | ".join(said(parts)), " ".join(sorted(queue.unused)) or "-") == (spoken, unused)


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
