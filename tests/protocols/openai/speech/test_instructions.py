"""Instructions of a manner: opposites cancel each other, and quoted or marked text is none."""

import time

import pytest

from kani.protocols.openai.speech.instructions import MAX_GIVEN, MAX_READ, Style, parse_instructions

NOTHING = Style(ignored=True)
STORY = "She was furious, and spoke in a deep low voice. It was a very slow, sad and gloomy evening."


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("Pacing: Slower during the apology. Faster when offering solutions.", NOTHING),
        ("Very slow at first, fast at last", NOTHING),
        ("A calm voice; slower, then quick", Style("calm")),
        ("Slow, very slowly", Style(pace=0.85**1.75)),
        ("Slow, but not fast", Style(pace=0.85)),
        ("From a high voice to a very deep voice", NOTHING),
        ("Begin happy, end sad", NOTHING),
        ("Begin excited, warm, and become calm", Style("friendly")),
        ("An angry man, then calm, then sad", Style("sad")),
        ("Calm and cheerful, warm", Style("calm,happy,friendly")),
        ("Sad and angry", Style("sad,angry")),
    ],
)
def test_opposites_cancel_each_other(text: str, style: Style) -> None:
    assert parse_instructions(text) == style


@pytest.mark.parametrize(
    ("text", "style"),
    [
        ("Slower here, quicker there", NOTHING),
        ("Brisker, please", Style(pace=1.2)),
        ("A sadder voice", Style("sad")),
        ("A calmer, gentler, warmer tone", Style("calm,friendly")),
        ("Happier, livelier", Style("happy,excited")),
        ("A lower pitch than before", Style(pitch=-2.0)),
        ("In a much higher voice", Style(pitch=2.0)),
        ("Con voz lenta, aguda y cálida", Style("friendly", 0.85, 2.0)),
        ("Habla rápida y animada, nada furiosa", Style("excited", 1.2)),
        ("Not slower, and never in a higher voice", NOTHING),
        ("The former speaker, over a lower river", NOTHING),
    ],
)
def test_comparatives_and_feminines_are_forms_of_the_words(text: str, style: Style) -> None:
    assert parse_instructions(text) == style


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<previous_context>", "</previous_context>"),
        ("<next-context lang='en' n=\"1\">", "</next-context >"),
        ("<X1><b>bold</b> <br/> <i>", "</X1>"),
        ("<a>One<a>two</a>", "</a>"),
        *((pair[0], pair[1]) for pair in ('""', "“”", "„“", "„”", "””", "““", "‘’", "‚‘", "''", "＂＂")),
        *((pair[0], pair[1]) for pair in ("«»", "»«", "‹›", "›‹", "「」", "『』", "〝〞", "``")),
        ("‘It’s ", "’"),
        ("'It's ", "'"),
    ],
)
def test_text_that_is_told_of_is_no_instruction(before: str, after: str) -> None:
    assert parse_instructions(f"{before}{STORY}{after}") == NOTHING
    assert parse_instructions(f"Be cheerful. {before}{STORY}{after} Speak quickly.") == Style("happy", 1.2)


@pytest.mark.parametrize(
    "text",
    [
        "The narrator's voice is slow, the others' voices are slow",
        "A 6' man who is slow",
        "Keep it < slow > please",
        "<laugh> slow",
        "</b> slow <i>",
        '6" of slow',
        "Don't you hurry, rest: slow, 'cause it's late",
    ],
)
def test_what_only_looks_like_a_mark_hides_nothing(text: str) -> None:
    assert parse_instructions(text) == Style(pace=0.85)


def test_long_contexts_are_passed_over() -> None:
    context = f"<context>{STORY * (2 * MAX_READ // len(STORY))}</context>"
    assert parse_instructions(f"Quickly. {context}") == Style(pace=1.2)
    assert parse_instructions(f"{context} Quickly.") == Style(pace=1.2)


@pytest.mark.parametrize(
    "piece", ["<a>", "<a ", "</b>", "«", "»", "'a", " 'a'a", "‘’a", "„", '"a', "<a></b>", "`"]
)
def test_no_text_takes_long(piece: str) -> None:
    text = piece * MAX_GIVEN
    parse_instructions(text)
    began = time.process_time()
    parse_instructions(text)
    assert time.process_time() - began < 1.0
