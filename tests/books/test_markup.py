"""Words for pictures, readings of words, headings of several parts and numbers of items in HTML."""

import pytest

from kani.books.book import line
from kani.books.html.markup import read_html
from tests.text.linear_time import is_linear


def read(html: str) -> str:
    return " / ".join(block.text for block in read_html(html.encode())[0])


@pytest.mark.parametrize(
    ("html", "words"),
    [
        # In the middle of words a picture is what it is called.
        ('<p><img alt="T"/>he old man</p>', "The old man"),
        (
            '<p>The energy is <img alt="E = mc²"/> and <img aria-label="π"/>.</p>',
            "The energy is E = mc² and π.",
        ),
        ("<p>a <svg><title>pi</title><desc>x</desc><g/></svg> b<title>c</title></p>", "a pi b"),
        ('<p>a <svg aria-label="tau"><title>pi</title></svg> b</p>', "a tau b"),
        (
            '<h:p>a <m:math alttext="x"><m:mi>y</m:mi></m:math> <s:svg><s:title>z</s:title></s:svg></h:p>',
            "a x z",
        ),
        ('<p>See <a href="m.xhtml"><img alt="map"/></a>.</p>', "See map."),
        ('<p>y<img alt="x"/><sup>2</sup></p>', "yx²"),
        ('<p><img alt="The king"/>He had.</p>', "The king He had."),
        ('<p>彼は<img alt="鷗"/>外を</p>', "彼は鷗外を"),
        # By itself, or where its text says nothing, it is not read.
        ('<p><img alt="A castle"/></p><p><img alt="A castle"/><br/>Figure 1</p>', "Figure 1"),
        ("<div><svg><title>Cover</title></svg></div><p>a</p>", "a"),
        ('<p>a <img alt="p 1.png"/><img alt="Image 12"/><img alt=""/><img/> b</p>', "a b"),
        ('<p>a <img hidden="" alt="x"/><img role="presentation" alt="x"/> b</p>', "a b"),
        ("<p>a <svg hidden='hidden'><title>x</title></svg> b</p>", "a b"),
        # The marks of notes, and notes that are kept in the text of such a mark.
        ('<p>a<a href="#n1"><img alt="note"/></a> b<img class="qq-footnote" alt="A note."/></p>', "a b"),
        ('<p>a<a href="#n1"> </a>b <a href="#n1"><img alt="1"/> Note</a></p>', "a b 1 Note"),
        # In a heading it is a title.
        (
            '<h1><img alt="Chapter One"/></h1><h2><a href="#t"><img alt="C"/></a>hapter 2</h2>',
            "Chapter One / Chapter 2",
        ),
    ],
)
def test_text_of_a_picture_is_read_among_words(html: str, words: str) -> None:
    assert read(html) == words


@pytest.mark.parametrize(
    ("ruby", "words"),
    [
        ("神聖文字<rt>ヒエログリフ</rt>", "｜神聖文字《ヒエログリフ》"),
        ("角<rt>つの</rt>田<rp>(</rp><rt>だ</rt><rp>)</rp>", "｜角田《つのだ》"),
        ("<rb>角</rb><rb>田</rb><rt>つの<rt>だ", "｜角田《つのだ》"),
        ("食<rt>た</rt>べ<rt></rt>物<rt>もの</rt>", "｜食べ物《たべもの》"),
        ("漢字<rt>かんじ<rtc>kanji</rtc>", "｜漢字《かんじ》"),
        ("<rbc><rb>東</rb></rbc><rtc><rt>とう</rt></rtc><rtc><rt>East</rt></rtc>", "｜東《とう》"),
        ('<rb><img alt="喰"/></rb><rt>く</rt>', "｜喰《く》"),
        # A part without a reading, dots for stress, another script: only the word is read.
        ("角<rt>つの</rt>田", "角田"),
        ("これ<rt>・・</rt>", "これ"),
        ("漢<rt>hàn</rt>字<rt>zì</rt>", "漢字"),
    ],
)
def test_readings_of_words_are_written_as_speech_knows_them(ruby: str, words: str) -> None:
    assert (
        read(f"<p>彼の<ruby>{ruby}</ruby>は<ruby>春<rt>はる</rt></ruby>。") == f"彼の{words}は｜春《はる》。"
    )
    assert line(read(f"<h1><ruby>{ruby}</ruby></h1>")) == line(words).partition("《")[0].strip("｜")


@pytest.mark.parametrize(
    ("heading", "words"),
    [
        ("<span>3</span><span>The Road</span>", "3 The Road"),
        ("<b><span>3</span></b>THE ROAD", "3 THE ROAD"),
        ("<em>1.</em><em>The Road</em>", "1. The Road"),
        ("3<em>The Road</em>", "3 The Road"),
        ("<span>Chapter</span><span>4</span>", "Chapter 4"),
        ("<small>Chapter 4:</small><span>home</span>", "Chapter 4: home"),
        ("<span>CHAPTER</span><span>ONE</span>", "CHAPTER ONE"),
        ("<span>I</span><span>“Home”</span>", "I “Home”"),
        ("<span>I</span><span>The Fox</span>", "I The Fox"),
        ("<span>第一章</span><span>春の日</span>", "第一章 春の日"),
        ("<span>अध्याय</span><span>एक</span>", "अध्याय एक"),
        (
            '<span style="display:block">part</span><span style="display: block">two</span>ends',
            "part two ends",
        ),
        # Parts of a word.
        ("<span>C</span><span>HAPTER</span> <span>O</span><span>NE</span>", "CHAPTER ONE"),
        ("M<small>AC</small>D<small>ONALD</small>", "MACDONALD"),
        ("Mc<span>Donald</span> and <i>Mac</i><i>Leod</i>", "McDonald and MacLeod"),
        ("<i>iMac</i><i>Pro</i> <i>Mac</i><i>1</i>", "iMac Pro Mac 1"),
        ("<em>wo</em><em>rd</em> <span>3</span><span>rd</span> <i>1</i><i>9</i>", "word 3rd 19"),
        ("第<span>12</span>章<ruby>春</ruby>の日 H<sub>2</sub>O", "第12章春の日 H₂O"),
    ],
)
def test_words_of_a_heading_stay_apart(heading: str, words: str) -> None:
    assert read(f"<h1>{heading}</h1>") == words


def test_elements_shown_as_blocks_are_lines() -> None:
    block = '<span style="display:block">{}</span>'
    assert read(f"<p>{block.format('One <span>line</span>')}{block.format('two')}</p>") == "One line\ntwo"
    assert read('<p><span style="display:inline-block">o</span><span>ne</span></p>') == "one"


@pytest.mark.parametrize(
    ("html", "words"),
    [
        (
            "<ol><li>Open.<li><p>Take.</p><p>And go.</p></li></ol><ul><li>x</ul>",
            "1. Open. / 2. Take. / And go. / x",
        ),
        (
            '<ol start="5"><li>a<ol type="a"><li>b<li>c</ol><li value="9">d<li>e</ol>',
            "5. a / A. b / B. c / 9. d / 10. e",
        ),
        ('<ol reversed start="3"><li>a<li>b</ol><ol reversed><li>c</ol>', "3. a / 2. b / c"),
        # Not shown, written already, a heading, nothing.
        (
            '<ol style="list-style:none"><li>a</ol><ol><li>1) a<li>(2) b<li><h2>C</h2><li></li><li>e</ol>',
            "a / 1) a / (2) b / C / 5. e",
        ),
        ("<aside class='footnote'><ol><li>n</ol></aside><p>a</p><li>b", "a / b"),
    ],
)
def test_items_of_a_list_have_their_numbers(html: str, words: str) -> None:
    assert read(html) == words


def test_sections_of_characters_are_text_in_xml() -> None:
    for head in ('<?xml version="1.0"?>', '<html xmlns="http://www.w3.org/1999/xhtml">'):
        assert read(f"{head}<p>a<![CDATA[ b & <i>]]>c</p>") == "a b & <i>c"
    assert read("<p>a<![CDATA[b]]>c</p>") == "ac"


@pytest.mark.parametrize(
    ("before", "unit"),
    [
        ("<p>a", '<img alt="b">'),
        ("<h1>a", "<b>B</b>"),
        ("<h1>a", '<img alt="B"/>'),
        ("<p>", "<ruby>a<rt>あ</rt>"),
        ("<p><ruby>", "a<rt>あ</rt>"),
        ("<p>", "<span style='display:block'>"),
        ("", "<ol><li>"),
        ("<svg>", "<title>a</title>"),
    ],
)
def test_reading_takes_linear_time(before: str, unit: str) -> None:
    assert is_linear(lambda text: [*read_html(f"{before}{text}".encode())], unit, 4_000)


def test_emphasis_is_kept_beside_the_text() -> None:
    html = """<p>It <i>was <em>so</em></i> , <span class="x italic">very </span> good<sup><i>1</i></sup>
      and <b>big</b>.<i>Open</p><h2>A <em>title</em></h2><p>a<a href="#n"><i>2</i></a> b</p>"""
    first, title, last = read_html(html.encode())[0]
    assert first.text == "It was so , very good and big.Open" and (title.text, last.text) == (
        "A title",
        "a b",
    )
    assert [first.text[begin:end] for begin, end in first.emphases] == ["was so", "very "]
    assert title.emphases == last.emphases == ()


def test_table_is_read_by_rows() -> None:
    row = "<tr><th>City</th><td><p>The <i>old</i> one.</p></td><td>1,200</td></tr>"
    nested = f"<tr><td>a<table>{row}</table></td><td>b</td></tr>"
    long = f"<tr><td>{'word ' * 90}</td><td>c</td></tr><tr><td><h2>d</h2></td><td>e</td></tr>"
    blocks = read_html(f"<table>{row}<tr><td>f<tr><td>g<td>h{nested}{long}</table>i".encode())[0]
    words = "word " * 90
    expected = ["City, The old one. 1,200", "f", "g, h", "a", "City, The old one. 1,200", "b"]
    assert [block.text for block in blocks] == [*expected, words.strip(), "c", "d", "e", "i"]
    assert [blocks[0].text[begin:end] for begin, end in blocks[0].emphases] == ["old"]
