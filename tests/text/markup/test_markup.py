"""Spoken text and pauses of marked-up texts (markup.tsv), and where the spans of their speech point."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kani_text.markup import CODE_BLOCK, MASK, MAX_HELD_BACK, PARAGRAPH_END, Break, MarkupMasker, Masked
from kani_text.markup.masked_text import MAX_ADDRESS
from kani_text.markup.tags import MAX_BREAK_S, MAX_BREAKS, MAX_TOTAL_BREAKS_S
from tests.core.timing.test_spans import assert_tiles
from tests.support.sessions import SPANISH, audio, collect, serving, silent, spans_of, speak
from tests.support.tables import rows
from tests.support.tone import LETTER_S, RATE, ToneEngine

WORDS = """
Hola mundo Hola. ** * _ __ ~~ == = ` `` ``` ~~~ ## # [ ] ( ) ]( ![ [^1] [a][b] ](a(b) ](a'b < </ > /> <b> </p>
<br> <td> </td> <break 500ms '/> time=' <!-- --> <script> </script> <x> <a@b.c> <https:// &amp; & #39; &lt ---
=== \\ \\* https://ej.es/ www.a.es :// ! | ||||| 3 5 " ' é e\u0301 مرحبا 你好 \u200f $ { \ue000
\uf8ff \U000f0000 \ud83d \x00 % %% %%a%% ^ ^a1b {{c1:: :: }} {{c1::a::b}}
[[ ]] [[a#b|c]] ![[a.png|300]] [!tip]
"""
LINES = ["\n", "\n\n", "\r\n", "| a | b |\n", "|---|---|\n", "```py\n", "\n```\n", "[id]: https://x.y\n"]
STARTS = ["- ", "* ", "# ", "> ", "1. ", "[ ] ", "[^1]: ", "<break ", "x y z "]
BLANKS = [" ", "  ", "\t", ". ", ", ", " " * 100, "\u2029"]
WHOLE = [
    "[so](/sˈoʊ/)",
    "](/ˈa/)",
    '<phoneme ph="a">',
    "</phoneme>",
    '<break time="1s"/>',
    '](http://a.b/c_d "t")',
    '<a href="x">',
    "<mi nombre>",
    "x" * 100,
    "a_b" * 30,
]
FRAGMENTS = st.sampled_from([*WORDS.split(), *LINES, *STARTS, *BLANKS, *WHOLE, "-" * 20])
TEXTS = st.lists(st.one_of(FRAGMENTS, st.text(max_size=6)), max_size=25).map("".join)


def joined(parts: Iterable[Masked]) -> list[Masked]:
    result: list[Masked] = []
    for part in parts:
        if isinstance(part, str) and result and isinstance(result[-1], str):
            result[-1] += part
        else:
            result.append(part)
    return result


def read(text: str, *, announce_code: bool = True) -> list[Masked]:
    markup = MarkupMasker(announce_code=announce_code)
    return joined(markup.feed(text) + markup.flush())


def shown(parts: Sequence[Masked]) -> str:
    """Parts to be read in a test: · and ¶ and § for the masks, a pause in angle brackets, IPA in slashes."""
    text = "".join(map(_shown, parts))
    return text.replace(MASK, "·").replace(PARAGRAPH_END, "¶").replace(CODE_BLOCK, "§")


def _shown(part: Masked) -> str:
    match part:
        case str():
            return part
        case Break():
            return f"<{part.seconds:g}>"
    return f"/{part.end} {part.ipa}/"


def said(text: str) -> str:
    """Text with masks and white space folded."""
    words = "".join(" | " if isinstance(part, Break) else _shown(part) for part in read(text))
    return " ".join(words.replace(MASK, "").split())


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        *rows(__file__, "markup.tsv"),
        ("said", f"[a](https://x.y/{'z' * 2000}) b", "a b"),
        ("said", f"[a](https://x.y/{'z' * 2000}", "a"),
        ("said", f"[a](/{'ˈa' * 200}/) <phoneme ph='{'a' * 201}'>b</phoneme>", "a b"),
    ],
)
def test_markup_is_masked(kind: str, text: str, expected: str) -> None:
    """A space before a word, MASK inside and after one, so that no word is torn and no end hidden.

    kind: "masked" or only what is "said", as the functions above show it.
    """
    assert (said(text) if kind == "said" else shown(read(text))) == expected


@pytest.mark.parametrize(
    "text",
    [
        "3*4 = 12, 2 * 3 = 6, 2**3", "a_b file_name.py my_long_name", "Lehrer*innen und Schüler*innen",
        "https://ej.es/a_b https://ej.es/*a/__b__x?c=d&amp=1#e [sic] www.a.es/a_b_c",
        "5 > 3 y a < b <3 x<y, x<y and y>z i<n; i++", "C# #hashtag #1 ~5 ~ 5 a==b a == b",
        "AT&T R&D a & b &notit; &amp", "uno | dos || tres", "List<String> Map<String, int>",
        "-5 grados\n+34 612\n_\n", "C:\\dir\\a precio: 3 $ ($4) $x$", "[sic] (véase) [1] ¡Hola! (!) [a] (b)",
        "50% %% a%%b%% ^12 x^abc {{name}} {{c1:a}} [[1, 2], [3]] [!tip] 5 ^ 3",
        "1. uno\u2029 \u200fمرحبا\u202a a\u202c 你好。", "a = b", "x",
    ],
)  # fmt: skip
def test_text_that_looks_like_markup_stays(text: str) -> None:
    assert "".join(str(part) for part in read(text)) == text


def test_long_address_is_masked() -> None:
    text = "ver https://" + "a" * 2000 + " y 请看https://" + "b" * 2000 + "，好"
    assert said(text) == f"ver https://{'a' * MAX_ADDRESS} y 请看https://{'b' * MAX_ADDRESS}，好"


@pytest.mark.parametrize(
    "block",
    [
        "```python\nx = 1\n\n# **y**\n```\n", "~~~\n```\nx\n~~~\n", "````\n```\n````\n", "```\n```\n",
        "```py\r\nx\r\n```\r\n",
    ],
)  # fmt: skip
def test_code_block_is_announced_or_passed_over(block: str) -> None:
    assert shown(read(f"Mira:\n{block}Listo.")) == "Mira:\n§¶·" + " " * (len(block) - 3) + "Listo."
    silent = " " * (len(block) - 1) + "\n"
    assert shown(read(f"Mira:\n{block}Listo.", announce_code=False)) == f"Mira:\n{silent}Listo."


def test_fence_after_text_opens_a_block() -> None:
    """Else the closing one would be taken for an opening one, and all that follows would be lost."""
    for before in ("1. ", "Mira: ", "| "):
        assert said(f"{before}```bash\nls -l\n```\nListo.").endswith(f"{CODE_BLOCK} Listo.")
    assert said("usa ```ls -l``` y ya\n") == "usa ls -l y ya"
    assert said("usa ```") == "usa"


def test_code_block_is_announced_before_it_ends() -> None:
    markup = MarkupMasker()
    assert shown(markup.feed("- ```python\n")) == "  §¶·" + " " * 7
    assert shown(markup.feed("x = 1\n" * 1000)) == " " * 6000
    assert shown(markup.flush()) == ""
    assert shown(markup.feed("``` \n**Ya**")) == " " * 5 + "  Ya"


def test_block_elements_end_lines_and_paragraphs() -> None:
    assert shown(read("a<br>b<br/>- c")) == "a\n   b\n    - c"
    assert shown(read("<p>uno</p><p>dos</p>")) == "   uno¶      dos¶   "
    assert shown(read("<td>1</td><td>2</td>")) == "    1,        2,    "


def test_reference_becomes_its_character() -> None:
    assert shown(read("AT&amp;T&nbsp;a")) == "AT&····T\u00a0     a"


def test_private_use_characters_are_masked() -> None:
    text = "a\ue000b\ue001 \uf8ffc\U000f0000\U0010fffd"
    assert shown(read(text)) == "a·b·  c··"


@pytest.mark.parametrize(
    ("tag", "seconds"),
    [
        ('<break time="0.5s"/>', 0.5), ("<break time='500ms' />", 0.5), ("<BREAK  TIME = 1S >", 1.0),
        ('<break\n time="+.25s"\n/>', 0.25), ("<break time=“1,5 s”/>", 1.5),
        ('<break time="2s" strength="weak"></break>', 2.0), ('<break time="99s"/>', MAX_BREAK_S),
        (f'<break time="{"9" * 200}s"/>', MAX_BREAK_S), ("<break/>", 0.75), ("<break>", 0.75),
        ('<break strength="none"/>', 0.0), ('<break strength="x-weak"/>', 0.25),
        ('<break strength="weak"/>', 0.5),
        ('<break strength="medium"/>', 0.75), ('<break strength="strong"/>', 1.0),
        ('<break strength="X-Strong"/>', 1.25),
    ],
)  # fmt: skip
def test_break_is_a_pause(tag: str, seconds: float) -> None:
    parts = read(f"uno{tag}dos")
    if not seconds:
        assert shown(parts) == "uno" + "·" * len(tag) + "dos"
        return
    end = tag.index(">") + 1
    assert shown(parts[:1]) == "uno" + "·" * end
    assert parts[1] == Break(seconds)
    assert len(parts) == 3 and str(parts[2]).strip() == "dos"


@pytest.mark.parametrize(
    "time", ["", "x", "-1s", "1.2.3s", "0s", "0.0ms", "1", "s", "1e9s", "nans", "infs", "½s", "1 min"]
)
def test_invalid_time_is_no_pause(time: str) -> None:
    assert read(f'uno <break time="{time}"/> dos') == ["uno" + " " * (len(time) + 18) + "dos"]


def test_breaks_of_one_text_are_bounded() -> None:
    count = sum(isinstance(part, Break) for part in read('<break time="1ms"/>' * (MAX_BREAKS + 5)))
    assert count == MAX_BREAKS
    pauses = [part.seconds for part in read('a <break time="9s"/>' * 100) if isinstance(part, Break)]
    assert MAX_TOTAL_BREAKS_S - 9 < sum(pauses) <= MAX_TOTAL_BREAKS_S


@pytest.mark.parametrize(
    "text",
    [
        "<break time='1s'", '<a href="x" <b', "<" + "a" * 400 + ">", f'<a href="{"x" * 400}">b',
        "[" + "x" * 200 + "](y)", f"[{'x' * 200}](/ˈa/)",
        "[[" + "x" * 400 + "]]", "%%" + "x" * 400 + "%%", "{{c1::" + "x" * 400 + "}}",
    ],
)  # fmt: skip
def test_unclosed_or_long_markup_is_text(text: str) -> None:
    assert said(text) != "" and "".join(str(part) for part in read(text)).startswith(text[:5])


def test_dollars_after_a_capital_are_money_in_any_pieces() -> None:
    text = "Pay US$x=1$ now."
    masker = MarkupMasker()
    pieces = [*masker.feed("Pay US"), *masker.feed(text[6:]), *masker.flush()]
    assert joined(pieces) == joined(read(text)) == [text]


def test_unclosed_nested_markup_is_masked_mark_by_mark() -> None:
    assert said("**_~~hola *__que `tal [a ==b") == "hola que tal [a b"


@given(TEXTS, st.data())
def test_pieces_do_not_change_the_output(text: str, data: st.DataObject) -> None:
    expected = read(text)
    assert sum(len(part) for part in expected if isinstance(part, str)) == len(text)
    cuts = data.draw(
        st.one_of(st.just(range(len(text))), st.lists(st.integers(0, len(text)), max_size=12).map(sorted))
    )
    markup = MarkupMasker()
    parts: list[Masked] = []
    given_out = begin = 0
    for end in [*cuts, len(text)]:
        new = markup.feed(text[begin:end])
        given_out += sum(len(part) for part in new if isinstance(part, str))
        assert end - given_out <= MAX_HELD_BACK
        parts += new
        begin = end
    assert joined(parts + markup.flush()) == expected


@given(TEXTS, TEXTS)
def test_flush_returns_all_that_was_held_back(before: str, after: str) -> None:
    markup = MarkupMasker()
    first = markup.feed(before) + markup.flush()
    assert sum(len(part) for part in first if isinstance(part, str)) == len(before)
    second = markup.feed(after) + markup.flush()
    assert sum(len(part) for part in second if isinstance(part, str)) == len(after)
    assert markup.flush() == []


@given(st.lists(st.text("abcñé .,;:()?¿\"'-\u0301—1 23", min_size=1), max_size=10))
def test_plain_words_pass_at_once(words: list[str]) -> None:
    markup = MarkupMasker()
    markup.feed("a")
    for word in words:
        assert markup.feed(word) == [word]


@pytest.mark.parametrize(
    ("text", "held"),
    [
        ("Hola.", ""), ("«Hola», 3,5 (a) -", ""), ("Hola **mundo", ""), ("Hola **mundo**", "**"),
        ("¡Hola!", "!"), ("fin.\n", ""), ("- uno\n", "\n"), ("x <y an", "<y an"), ("x<y and z", ""),
        ("Ver [la guía", "[la guía"), ("Ver [la guía](https", "](https"), ("a & b &am", "&am"),
        ("pon `a b", "`a b"), ("50%", ""), ("ver [[a b", "[[a b"), ("%%a b", "%%a b"), ("#", "#"), ("-", "-"),
    ],
)  # fmt: skip
def test_only_text_that_may_change_is_held_back(text: str, held: str) -> None:
    given_out = sum(len(part) for part in MarkupMasker().feed(text) if isinstance(part, str))
    assert text[given_out:] == held


@pytest.mark.parametrize("writes", [False, True])
@pytest.mark.parametrize(
    ("tags", "rests"),
    [
        ('<break time="0.5s"/>', [0.5]),
        (" <break time='500ms' /> ", [0.5]),
        ('<break strength="x-strong"></break>', [1.25]),
        ('<break time="2s"/> <break time="0.5s"/>', [2.0, 0.5]),
    ],
)
async def test_break_is_silence_of_its_duration(
    tmp_path: Path, tags: str, rests: list[float], writes: bool
) -> None:
    """A span without characters after its tag covers it."""
    text = f"uno{tags}dos"
    engine = ToneEngine(writes=writes)
    async with serving(engine, tmp_path) as service:
        chunks = await speak(service, text)
    spans = spans_of(chunks)
    told = [span for span in spans if span.start == span.end]
    assert [span.end_s - span.start_s for span in told] == pytest.approx(rests)
    assert all(text[: span.start].endswith(">") for span in told)
    assert engine.words == ["uno", "dos"]
    assert len(audio(chunks)) == round((6 * LETTER_S + sum(rests)) * RATE)
    assert silent(chunks, told[0].start_s, told[-1].end_s)
    assert not silent(chunks, told[-1].end_s, told[-1].end_s + LETTER_S)
    assert_tiles(spans, len(text), pauses=len(rests))


async def test_break_in_pieces_is_one_pause(tmp_path: Path) -> None:
    engine = ToneEngine(writes=True)
    text = 'Uno dos <break time="0.5s"/> tres cuatro.'
    async with serving(engine, tmp_path) as service, service.open(SPANISH, protocol="test") as session:
        for character in text:
            session.feed(character)
        session.finish()
        spans = spans_of(await collect(session))
    (rest,) = (span for span in spans if span.start == span.end)
    assert (rest.start, rest.end_s - rest.start_s) == (text.index("/>") + 2, pytest.approx(0.5))
    assert engine.words == ["Uno", "dos", "tres", "cuatro"]
    assert_tiles(spans, len(text), pauses=1)


async def test_breaks_alone_are_silent(tmp_path: Path) -> None:
    async with serving(ToneEngine(), tmp_path) as service:
        assert not np.any(audio(await speak(service, '<break time="1s"/>')))
        chunks = await speak(service, '<break time="1s"/>hola')
        assert silent(chunks, 0.0, 1.0) and not silent(chunks, 1.0, 1.0 + LETTER_S)
        assert_tiles(spans_of(chunks), len('<break time="1s"/>hola'), pauses=1)


async def test_spans_cover_words_without_markup(tmp_path: Path) -> None:
    text = "# **Título**\n- [uno](https://ej.es/a_b) y `dos`\n- foo**bar**\n\nAT&amp;T <b>fin</b>."
    engine = ToneEngine()
    async with serving(engine, tmp_path) as service:
        spans = spans_of(await speak(service, text))
    assert_tiles(spans, len(text))
    told = [text[span.start : span.end] for span in spans]
    for word in ("Título", "uno", "y", "dos", "foo**bar", "fin"):
        assert word in told
    assert "https" not in " ".join(engine.words) and "amp" not in " ".join(engine.words)


async def test_list_items_pause_like_paragraphs(tmp_path: Path) -> None:
    async with serving(ToneEngine(), tmp_path) as service:
        listed = spans_of(await speak(service, "Hay que comprar varias cosas:\n- manzanas\n- peras\n- uvas"))
        prose = spans_of(await speak(service, "Hay que comprar varias cosas: manzanas peras uvas"))
    assert listed[-1].end_s > prose[-1].end_s


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TEXTS, st.lists(st.integers(0, 400), max_size=8).map(sorted))
async def test_spans_tile_any_markup(tmp_path: Path, text: str, cuts: list[int]) -> None:
    async with serving(ToneEngine(writes=bool(cuts)), tmp_path) as service:
        async with service.open(SPANISH, protocol="test") as session:
            for start, end in pairwise([0, *cuts, max(len(text), 401)]):
                session.feed(text[start:end])
            session.finish()
            chunks = await collect(session)
    spans = spans_of(chunks)
    if chunks:
        assert_tiles(spans, len(text), pauses=sum(span.start == span.end for span in spans))
