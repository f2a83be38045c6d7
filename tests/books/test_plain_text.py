"""Chapters of plain text and Markdown by their headings, without the numbers of pages and facts before."""

from pathlib import Path

import pytest

from kani.books.book import Book
from kani.books.reading import read_book
from tests.text.linear_time import is_linear

HEADINGS = r"""
# Introduction|# The Letter
## Introduction ##|## The Letter {#two}
Chapter 1\n=====|Chapter 2\n=====
The Start\n---------|The End\n-------
=====\nThe Start\n=====|=====\nThe End\n=====
*** Chapter 1 ***|*** Chapter 2 ***
=== The Start ===|=== The End ===
[Chapter 1]|[Chapter 2]
— 1 —|— 2 —
1. The Start|2. Who Goes?
1 - The Start|2 - The End
ONE|TWO
One: The Start|Two: The End
BOOK ONE|BOOK TWO
PART THE FIRST|PART THE SECOND
Part 1: The Start|Part 2: The End
Ch. 1|Ch. 2
CHAPTER TWENTY-ONE|CHAPTER TWENTY-TWO
Preface|Afterword
1. Kapitel|2. Kapitel: Das Haus
Erstes Kapitel|Zweites Kapitel
Erster Teil|Zweiter Teil
1. Kapitel\nDer Weg|2. Kapitel\nDas Haus
Primer capítulo|Segundo capítulo
Primera parte|Segunda parte
Premier chapitre|Deuxième chapitre
Première partie|Deuxième partie
Primo capitolo|Secondo capitolo
Primeiro capítulo|Segundo capítulo
Глава 1. Начало.|Глава 2
Глава первая|Глава вторая
Часть первая|Часть вторая
Hoofdstuk 1|Hoofdstuk 2
Eerste hoofdstuk|Tweede hoofdstuk
Rozdział pierwszy|Rozdział drugi
Första kapitlet|Andra kapitlet
1. luku|2. luku
Első fejezet|Második fejezet
První kapitola|Druhá kapitola
Birinci Bölüm|İkinci Bölüm
Chương 1|Chương 2
Κεφάλαιο 1|Κεφάλαιο 2
ΚΕΦΑΛΑΙΟ Α|ΚΕΦΑΛΑΙΟ Β
ΜΕΡΟΣ 1|ΜΕΡΟΣ 2
Μέρος 1|Μέρος 2
No. 1|No. 2
N.º 1|N.º 2
№ 1|№ 2
Nr. 1: Das Haus|Nr. 2: Der Fluss
第一部|第二部
卷一|卷二 夜
その一|その二
Abschnitt 1|Abschnitt 2
一|二
제1장|제2장
पहला अध्याय|दूसरा अध्याय
الفصل الأول|الفصل ٢
"""


def read(path: Path, text: str) -> Book:
    path.write_text(text, encoding="utf-8")
    return read_book(path)


def titles(path: Path, text: str) -> list[str]:
    return [each.title for each in read(path, text).chapters]


def paragraphs(path: Path, text: str) -> list[str]:
    return [text for chapter in read(path, text).chapters for text in chapter.paragraphs]


@pytest.mark.parametrize("pair", HEADINGS.strip().split("\n"))
def test_headings_of_many_styles_and_languages(tmp_path: Path, pair: str) -> None:
    first, second = pair.replace("\\n", "\n").split("|")
    text = f"{first}\n\nThe first text is here. It was late.\n\n{second}\n\nThe second text.\n"
    chapters = read(tmp_path / "b.txt", text).chapters
    assert [len(each.paragraphs) for each in chapters] == [2, 2]
    assert all(each.title == each.paragraphs[0] and each.title[0] not in "#*=[—" for each in chapters)
    # The text may follow at once where a mark, or a number after a word, ends the heading.
    if "\n" not in first and first[0] in "#C":
        assert titles(tmp_path / "b.txt", text.replace("\n\nThe", "\nThe")) == [
            each.title for each in chapters
        ]


@pytest.mark.parametrize(
    "text",
    [
        "1. Open the box.\n\n2. Take the key.\n\n3. Go.\n\nSo it was.",
        "You need\n\n1. Apples\n\n2. Pears\n\n3. Plums\n\nMix them.",
        "You need\n\n1. Apples\n2. Pears\n\nMix them.",
        "It began.\n\n2. The Middle\n\nIt went on.\n\n3. The End\n\nIt ended.",
        "It went\n\n1. The Start\n\nso and\n\n2. The End\n\nso.",
        "One.\n\nTwo.\n\nThree.\n\nGo!",
        "Night fell.\n\nIt was dark.\n\nNight came.\n\nIt rained.",
        "Глава семьи вошла.\n\nОна села.\n\nГлава города молчал.\n\nОн ушёл.",
        "*sighs*\n\nHe went.\n\n*sighs*\n\nShe came.",
        "#1 of all.\n\n#2 of all.",
        "Run it:\n\n# build it\nmake all\n\n# clean it\nmake clean",
        "He left.\n---\nThen he came.\n\nShe left.\n---\nThen she came.",
        "Name   Age\n----------\nAnn    12\n\nName   Age\n----------\nBob    13",
        "I. Newton said so.\n\nII. was a king.",
        "The Last Chapter was good.\n\nYes.\n\nA chapter of my life.\n\nNo.",
    ],
)
def test_lines_that_only_look_like_headings(tmp_path: Path, text: str) -> None:
    assert titles(tmp_path / "b.txt", text) == ["b"]


def test_parts_and_sections_around_chapters(tmp_path: Path) -> None:
    text = "PART ONE\n\n1\n\nLate.\n\n2\n\nEarly.\n\nPART TWO\n\n1\n\nOver.\n\n2\n\nThe end."
    assert titles(tmp_path / "b.txt", text) == ["PART ONE", "1", "2", "PART TWO", "1", "2"]
    text = "Chapter 1\n\n1. The Box\n\nLate.\n\n2. The Key\n\nNo.\n\nChapter 2\n\n1. The Fox\n\nYes."
    assert titles(tmp_path / "b.txt", text) == ["Chapter 1", "Chapter 2"]
    # A title above them by its marks, and a part that is named once.
    assert titles(tmp_path / "b.txt", "# The House\n\nI\n\nLate.\n\nII\n\nEarly.") == ["b", "I", "II"]
    text = "## One\n\na\n\n# Part Two\n\n## Two\n\nb"
    for ending in ("txt", "md"):
        assert titles(tmp_path / f"b.{ending}", text) == ["One", "Part Two", "Two"]
    text = "Title: The House\nAuthor: Ann Lee\n\n# One\n\nLate.\n\n# Two\n\nEarly."
    book = read(tmp_path / "b.txt", text)
    assert (book.title, book.author, len(book.chapters)) == ("The House", "Ann Lee", 2)


LONG = "It was late and the rain came down on the old house by the"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        # Beside form feeds.
        ("The man went\n12\n\fon.", ["The man went on."]),
        ("He went\n\n- 12 -\n\n\fon. He sat\n\n- 13 -\n\n\fdown.", ["He went on. He sat down."]),
        ("He went on.\n\nSeite 4 von 10\n\fHe sat.\n\nSeite 5 von 10", ["He went on.", "He sat."]),
        ("He went\n\nxii\n\fon. He was\nill\n\fand sad.", ["He went on. He was ill and sad."]),
        ("\fHe came.\n\f\fShe went.\f", ["He came.", "She went."]),
        (
            "Late.\n1\n\fEarly.\n2\n\fOver in\n1984\n\fand\n4\n\fon.",
            ["Late.", "Early.", "Over in\n1984 and on."],
        ),
        # Where they go on by one.
        (f"{LONG}\n12\nsea. {LONG}\n13\nroad.", [f"{LONG} sea. {LONG} road."]),
        ("He sat and\n\n- 1 -\n\nread.\n\n- 2 -\n\nIt was late.", ["He sat and read.", "It was late."]),
        *(
            (f"Late.\n\n{one}\n\nEarly.\n\n{two}\n\nOver.", ["Late.", "Early.", "Over."])
            for one, two in (
                ("Page 1", "Page 2"),
                ("Page | 1", "Page | 2"),
                ("página 7", "Página 8"),
                ("стр. 1/9", "стр. 2/9"),
                ("3. oldal", "4. oldal"),
                ("第1页 共9页", "第2页 共9页"),
                ("4ページ", "5ページ"),
                ("[p. 1 of 9]", "[p. 2 of 9]"),
                ("صفحة ١", "صفحة ٢"),
            )
        ),
        ("雨。\n\n第3页\n\n雪。\n\n第4页\n\n风。", ["雨。", "雪。", "风。"]),
        # With the heads of pages; the first is a title.
        (
            "THE HOUSE\n\nHe went\n\n12\n\fTHE HOUSE\n\non. He saw\n\n13\n\fTHE HOUSE\n\nall.",
            ["THE HOUSE", "He went on. He saw all."],
        ),
        (
            "2 THE HOUSE\n\nHe went\n\fTHE HOUSE 3\n\non. He saw\n\f4 THE HOUSE\n\nall.",
            ["He went on. He saw all."],
        ),
        (
            "Chapter 1\n\nHe came\n\f2\nChapter 1\n\nin.\n\fChapter 2\n\nShe\n\f4\nChapter 2\n\nwent.",
            ["Chapter 1", "He came in.", "Chapter 2", "She went."],
        ),
        (
            "THE FOX\n\nHe came\n\f2\nTHE FOX\n\nin.\n\fTHE HEN\n\nShe\n\f4\nTHE HEN\n\nwent.",
            ["THE FOX", "He came in.", "THE HEN", "She went."],
        ),
        # A word goes on after them, and so does a verse, a line below.
        (
            f"{LONG} interna-\n\n12\n\ftional sea of twenty-\n\n13\n\ffive.",
            [f"{LONG} international sea of twenty-five."],
        ),
        (
            "Tyger, burning bright,\nIn the night\n\n7\n\fWhat hand\n\n8\n\fCould",
            ["Tyger, burning bright,\nIn the night", "What hand", "Could"],
        ),
        (f"{'雨' * 40}、\n\n12\n\f雪。", [f"{'雨' * 40}、雪。"]),
    ],
)
def test_numbers_of_pages_are_left_out(tmp_path: Path, text: str, shown: list[str]) -> None:
    assert paragraphs(tmp_path / "b.txt", text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "It was.\n\n42\n\nIt is.",
        "1984\n\nIt was late\n\fand early. He was born in\n1984",
        "1\nReady\n2\nsteady\n3\nGo",
        "1\n\nroses red\n\n2\n\nViolets blue",
        "Page 12\n\nIt was.\n\nPage 14\n\nIt is.",
        "12\n\n13\n\n14",
    ],
)
def test_numbers_that_are_no_pages_stay(tmp_path: Path, text: str) -> None:
    shown = "".join("".join(paragraphs(tmp_path / "b.txt", text)).split())
    assert shown == "".join(text.split())


def test_numbers_of_chapters_on_new_pages(tmp_path: Path) -> None:
    text = "\f1\n\nLate. It\n\fwas dark.\n\n\f2\n\nEarly. It\n\fwas day.\n\n\f3\n\nOver."
    assert titles(tmp_path / "b.txt", text) == ["1", "2", "3"]
    text = "\fChapter 1\n\nLate.\n\n\fChapter 2\n\nEarly.\n\n\fChapter 3\n\nOver."
    assert titles(tmp_path / "b.txt", text) == ["Chapter 1", "Chapter 2", "Chapter 3"]


@pytest.mark.parametrize(
    ("divided", "whole"),
    [
        ("interna-\ntional", "international"),
        ("interna\u00ad\ntional", "international"),
        ("INTERNA-\nTIONAL", "INTERNATIONAL"),
        ("twenty-\nfive", "twenty-five"),
        ("well-\nknown", "well-known"),
        ("mother-in-\nlaw", "mother-in-law"),
        ("velvet-\nand-gold", "velvet-and-gold"),
        ("Anglo-\nSaxon", "Anglo-Saxon"),
        ("set-\nting", "setting"),
        # As the text writes it elsewhere.
        ("over-\nlook: to overlook", "overlook: to overlook"),
        ("over-\nlook: to over-look", "over-look: to over-look"),
        ("jib-\nsheet: a jib, a sheet", "jib-sheet: a jib, a sheet"),
    ],
)
def test_words_divided_at_the_end_of_a_line(tmp_path: Path, divided: str, whole: str) -> None:
    assert paragraphs(tmp_path / "b.txt", f"It is a {divided}\nand all.") == [f"It is a {whole} and all."]
    for line_end in ("\n", "<br/>\n"):
        html = f"<p>It is a {divided} and all.</p>".replace("\n", line_end)
        assert paragraphs(tmp_path / "b.html", html) == [f"It is a {whole} and all."]


def test_lines_of_code_keep_their_ends(tmp_path: Path) -> None:
    assert paragraphs(tmp_path / "b.html", "<pre>a-\nbcd</pre>") == ["a- bcd"]


@pytest.mark.parametrize(
    ("front", "facts"),
    [
        ("title: The Garden\nauthor: Ann Lee\nlang: en\n---", ("The Garden", "Ann Lee", "en")),
        ("Title: The Garden\nAuthor: Ann Lee\n...", ("The Garden", "Ann Lee", "")),
        (
            "title: 'A: Ann''s'  # x\nauthor: \"A \\\"B\\\" C\" # x\nlang: en-GB # x\n---",
            ("A: Ann's", 'A "B" C', "en-GB"),
        ),
        (
            "title: One, [two]\nauthors:\n  - Ann Lee\n  - 'Bo Li'\n# x\nlanguage: es\n---",
            ("One, [two]", "Ann Lee, Bo Li", "es"),
        ),
        (
            'author: [Ann Lee, "Li, Bo"]\ntitle: >\n  The\n  Garden\n\ntags: [a]\n---',
            ("The Garden", "Ann Lee, Li, Bo", ""),
        ),
        (
            "title:\n- type: main\n  text: The Garden\ncreator:\n- role: author\n  name: Ann Lee\n---",
            ("The Garden", "Ann Lee", ""),
        ),
        ("layout: post\naliases: []\nauthor: ~\n---", ("One", "", "")),
        # A mapping in braces is no end.
        ("title: The Garden\nx: {\n  y: 1\n}\nz: 2\n---", ("The Garden", "", "")),
    ],
)
def test_facts_before_markdown_are_not_read_but_known(
    tmp_path: Path, front: str, facts: tuple[str, str, str]
) -> None:
    book = read(tmp_path / "b.md", f"---\n{front}\n\n# One\n\nThe text.\n")
    assert (book.title, book.author, book.language) == facts
    assert [each.paragraphs for each in book.chapters] == [("One", "The text.")]


@pytest.mark.parametrize(
    ("ending", "front"),
    [
        (".md", "% The Garden\n% Ann Lee\n% 2020"),
        *(
            (ending, front)
            for ending in (".md", ".txt")
            for front in (
                '+++\ntitle = "The Garden"\n# x\nauthors = ["Ann Lee"]\ndraft = false\n[extra]\nx = 1\n+++',
                "Title: The Garden\nAuthor: Ann Lee\nTranslator: Bo Li\nBase Header Level: 2",
                "\n---\ntitle: The Garden\nauthor: Ann Lee\n---",
                '{\n  "title": "The Garden",\n  "authors": ["Ann Lee"],\n  "draft": false\n}',
                '{\n"authors": [\n    "Ann Lee"\n],\n"title": "The Garden"\n}\n',
            )
        ),
    ],
)
def test_facts_of_other_programs(tmp_path: Path, ending: str, front: str) -> None:
    book = read(tmp_path / f"b{ending}", f"{front}\n\n# One\n\nThe text.\n")
    assert (book.title, book.author) == ("The Garden", "Ann Lee")
    assert [each.paragraphs for each in book.chapters] == [("One", "The text.")]


def test_marks_of_other_programs_are_not_read(tmp_path: Path) -> None:
    written = (
        "[TOC]\n\n::: warning\nTake [care]{.x}. ![A door](d.png){width=5}\n:::\n\n{:toc}\n\nSet $a[3]{x}$."
    )
    assert paragraphs(tmp_path / "b.md", written) == ["Take [care]. A door", "Set a[3]{x}."]
    rain = "The rain [Pg 12]fell {13} on [p. 14] it\n{15} all {16}\nday."
    start = "*** START OF THE PROJECT GUTENBERG EBOOK RAIN ***\n\n"
    assert paragraphs(tmp_path / "b.txt", start + rain) == ["The rain fell on it all day."]
    assert paragraphs(tmp_path / "b.txt", "The set {5} has\n{6} more.") == ["The set {5} has\n{6} more."]
    assert paragraphs(tmp_path / "b.txt", "Hello {0}, a{2} and\n{name}.") == ["Hello {0}, a{2} and\n{name}."]


def test_raised_and_lowered_signs_of_markdown(tmp_path: Path) -> None:
    written = "E = mc^2^, 10^-3^ m, x^n^, the 2^nd^, H~2~O, CO~2~, but ~~no~~ a~b, 2^8 and note[^1]."
    assert paragraphs(tmp_path / "b.md", written) == [
        "E = mc^2, 10^-3 m, x^n, the 2nd, H2O, CO2, but no a~b, 2^8 and note."
    ]


@pytest.mark.parametrize(
    "text",
    [
        "---\n\nAnna: Hello.\n\nBen: Hi.\n\n---\n\nIt was.",
        "---\nIt was late.\n---\n\nIt was.",
        "---\nshe said: No.\n---\n\nIt was.",
        "---\ntitle: x\n\nIt was.",
        "It was.\n\n---\ntitle: x\n---\n\nIt is.",
        "---\n---\n\nIt was.",
        "{\n  x = 1;\n}\n\nIt was.",
        '{\n"She": "said it"\n}\n\nIt was.',
    ],
)
def test_lines_that_only_look_like_facts_are_read(tmp_path: Path, text: str) -> None:
    book = read(tmp_path / "b.md", text)
    assert "".join("".join(paragraphs(tmp_path / "b.md", text)).split()) == "".join(
        text.replace("---", "").split()
    )
    assert (book.title, book.author) == ("b", "")


@pytest.mark.parametrize("text", ["% of all\n\nIt was.", "Title: a play\nHe said: Go.\n\nIt was."])
def test_lines_of_plain_text_that_only_look_like_facts_are_read(tmp_path: Path, text: str) -> None:
    assert "\n".join(paragraphs(tmp_path / "b.txt", text)).split() == text.split()


def test_underlined_headings_of_markdown(tmp_path: Path) -> None:
    text = "The Garden\n==========\n\nOne\n---\nLate.\n\nTwo\n---\n\nEarly."
    assert titles(tmp_path / "b.md", text) == ["The Garden", "One", "Two"]
    assert read_book(tmp_path / "b.md").title == "The Garden"
    text = "He left.\n---\nShe came.\n\n- a\n---\n\n> b\n---\n\na | b\n--- | ---\n1 | 2\n\n```\nx\n---\n```"
    assert titles(tmp_path / "b.md", text) == ["b"]


@pytest.mark.parametrize(
    ("name", "before", "unit"),
    [
        *(
            ("b.txt", "", unit)
            for unit in ("1\n\n", "Page 1\n", "a\n1\n", "a\f", "1\f", "=\n", "=", "# a\n", "- ", "I. A\n\n")
        ),
        *(
            ("b.txt", "", unit)
            for unit in (
                "ONE\n\n",
                "1. A\n\na.\n\n",
                "a-\n",
                "a-",
                "a-b-\n",
                "Chapter 1\n",
                "A\n---\n",
                "Part one ",
            )
        ),
        ("b.md", "---\n", "a: b\n"),
        ("b.md", "---\na:\n", " - b\n"),
        ("b.md", "---\na: b", " #"),
        ("b.md", "---\na: [", "'a"),
        ("b.md", "---\nA", " "),
        ("b.md", "", "A\n---\n"),
        ("b.md", "# a", " {"),
        ("b.html", "<p>", "a-\n"),
        ("b.html", "<p>", "a-<br>"),
    ],
)
def test_reading_takes_linear_time(tmp_path: Path, name: str, before: str, unit: str) -> None:
    assert is_linear(lambda text: read(tmp_path / name, f"{before}{text}c\nx\n---\n\nx"), unit, 700)
