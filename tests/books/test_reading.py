"""Books in EPUB, plain text, Markdown and HTML: their pieces, and what faults and hostile files cost."""

import shutil
import struct
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from kani.books import archive
from kani.books.book import Book, Chapter, UnreadableBook
from kani.books.cover import read_cover
from kani.books.html.markup import read_html
from kani.books.plain_text import decode
from kani.books.plan import MAX_PIECE, Manner, digest, pieces_of
from kani.books.reading import read_book
from tests.books.epubs import CONTAINER, COVER, FILES, NAV, ONE, PACKAGE, TWO, epub, many_files, png
from tests.text.linear_time import is_linear

ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'
ATTRIBUTES = f'<!DOCTYPE x [<!ATTLIST item b CDATA "{"x" * 400_000}">]>'
EXTERNAL = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
ENCRYPTION = '<encryption><EncryptedData><EncryptionMethod Algorithm="{}"/></EncryptedData></encryption>'
ADEPT, FONTS = "http://www.w3.org/2001/04/xmlenc#aes128-cbc", "http://www.idpf.org/2008/embedding"
GUIDE = '<guide><reference type="text" href="{}"/></guide><spine>'
NCX = """<!DOCTYPE ncx PUBLIC "-//NISO//DTD ncx 2005-1//EN" "http://www.daisy.org/z3986/2005/ncx-2005-1.dtd">
<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint><navLabel><text>Alt</text></navLabel>
<content src="text/one.xhtml#b"/></navPoint></navMap></ncx>"""


def test_cover_is_the_picture_that_the_package_names(tmp_path: Path) -> None:
    """Chapters, title, author and language are tested beside the API."""
    cover = read_book(epub(tmp_path / "b.epub")).cover
    assert cover is not None
    assert (cover.data, cover.codec, cover.width, cover.height) == (COVER, "png", 8, 6)
    jpeg = b"\xff\xd8\xff\xe0\x00\x04ab\xff\xff\xc0\x00\x11\x08\x00\x10\x00\x20" + bytes(12)
    cover = read_cover(jpeg)
    assert cover is not None and (cover.codec, cover.width, cover.height) == ("mjpeg", 32, 16)
    assert read_cover(b"GIF89a" + bytes(40)) is None
    assert read_cover(png(8, 6).replace(struct.pack(">II", 8, 6), struct.pack(">II", 60_000, 6))) is None
    assert read_cover(jpeg[:6]) is None and read_cover(b"\xff\xd8\xff\xe0\0\0" + bytes(9)) is None


def test_contents_of_epub_2_and_a_document_type_that_is_not_fetched(tmp_path: Path) -> None:
    package = (
        PACKAGE.replace("nav.xhtml", "toc.ncx")
        .replace(
            'media-type="application/xhtml+xml" properties="nav"', 'media-type="application/x-dtbncx+xml"'
        )
        .replace("<spine>", '<spine toc="nav">')
        .replace('properties="cover-image"', "")
        .replace("</metadata>", '<meta name="cover" content="img"/></metadata>')
    )
    point = '<navPoint><navLabel><text>Out</text></navLabel><content src="../../../a.xhtml"/></navPoint>'
    contents = NCX.replace("<navPoint>", f"{point}<navPoint>")
    changes = {"OEBPS/book.opf": package, "OEBPS/nav.xhtml": None, "OEBPS/toc.ncx": contents}
    book = read_book(epub(tmp_path / "b.epub", changes))
    assert [each.title for each in book.chapters] == ["La casa & el río", "Alt"]
    assert book.chapters[1].paragraphs[-1] == "El tren sale tarde."
    assert book.cover is not None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"META-INF/container.xml": None}, "is no EPUB: it lacks META-INF/container.xml"),
        ({"META-INF/encryption.xml": ENCRYPTION.format(ADEPT)}, "without copy protection"),
        ({"OEBPS/book.opf": None}, "lacks its file 'OEBPS/book.opf'"),
        ({"OEBPS/book.opf": PACKAGE[:-20]}, "has broken XML in 'OEBPS/book.opf'"),
        ({"OEBPS/book.opf": "<a>" * 200}, "nests elements deeper than 100"),
        ({"OEBPS/nav.xhtml": ENTITIES + NAV}, "declares XML entities or attributes in 'OEBPS/nav.xhtml'"),
        ({"OEBPS/book.opf": ATTRIBUTES + PACKAGE[21:]}, "declares XML entities or attributes"),
        ({"META-INF/container.xml": EXTERNAL + CONTAINER[21:]}, "declares XML entities or attributes"),
        ({"META-INF/container.xml": CONTAINER.replace("OEBPS/", "../")}, "refers to a file outside"),
        ({"OEBPS/book.opf": PACKAGE.replace("text/one", "../../one")}, "refers to a file outside"),
        ({"../../evil.xhtml": TWO}, "names a file outside itself"),
        ({"/etc/evil": TWO}, "names a file outside itself"),
        ({"a\\..\\evil": TWO}, "names a file outside itself"),
        ({"OEBPS/text/one.xhtml": b"a" * (4 << 20)}, "expands too far at 'OEBPS/text/one.xhtml'"),
        ({"OEBPS/text/one.xhtml": ONE.encode() + b"\0\xff"}, "is not text in utf-8"),
        ({"OEBPS/text/one.xhtml": "<svg>" * 2000}, "nests elements deeper than 1000"),
        ({"OEBPS/text/one.xhtml": "<p/>", "OEBPS/text/two b.xhtml": "<p>* * *</p>"}, "no text to speak"),
    ],
)
def test_hostile_and_broken_books_give_one_error(
    tmp_path: Path, changes: dict[str, str | bytes | None], message: str
) -> None:
    path = epub(tmp_path / "b.epub", changes)
    with pytest.raises(UnreadableBook) as error:
        read_book(path)
    assert message in str(error.value)
    assert str(error.value).startswith("b.epub ") and "\n" not in str(error.value)
    assert [each.name for each in tmp_path.iterdir()] == ["b.epub"]


def test_a_hundred_thousand_files_are_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = many_files(tmp_path / "b.epub", 100_000)
    opened: list[object] = []
    monkeypatch.setattr(zipfile, "ZipFile", opened.append)
    with pytest.raises(UnreadableBook, match="more than 10,000 files"):
        read_book(path)
    # The count in the archive's end may lie; the length of the directory is what zipfile reads.
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\5\6")
    data[at + 8 : at + 12] = struct.pack("<2H", 1, 1)
    path.write_bytes(data)
    with pytest.raises(UnreadableBook, match="more than 10,000 files"):
        read_book(path)
    assert opened == []


def test_damaged_encrypted_and_large_books_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = epub(tmp_path / "b.epub")
    whole = path.read_bytes()
    with zipfile.ZipFile(path) as opened:
        at = opened.getinfo("OEBPS/book.opf").header_offset + 30 + len("OEBPS/book.opf")
    encrypted = bytearray(whole)
    encrypted[whole.find(b"PK\1\2", whole.rfind(b"META-INF/container.xml") - 50) + 8] |= 1
    for damaged, message in (
        *((cut, "get it again") for cut in (whole[:200], whole[: len(whole) // 2], b"no archive", b"")),
        (whole[:at] + b"\xff" * 40 + whole[at + 40 :], "has a damaged file 'OEBPS/book"),
        (encrypted, "without copy protection"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UnreadableBook, match=message):
            read_book(path)
    # Pictures leave the cover its share, whatever they are.
    noise = {"OEBPS/cover.png": COVER + bytes(6_000)}
    noise |= {f"OEBPS/text/{n}.png": png(8, 6) + bytes(5_000) for n in range(4)}
    shown = ONE.replace("</body>", "".join(f'<img src="{n}.png"/>' for n in range(4)) + "</body>")
    pictures = epub(tmp_path / "p.epub", {**noise, "OEBPS/text/one.xhtml": shown})
    monkeypatch.setattr(archive, "MAX_READ_BYTES", 14_000)
    assert read_book(pictures).cover is not None
    monkeypatch.setattr(archive, "MAX_READ_BYTES", 1_500)
    with pytest.raises(UnreadableBook, match="expands too far"):
        read_book(epub(path))


def test_file_that_is_not_there_or_in_another_encoding_is_refused(tmp_path: Path) -> None:
    shutil.copy(epub(tmp_path / "b.epub"), tmp_path / "b.odt")
    with pytest.raises(UnreadableBook, match="has to end with one of"):
        read_book(tmp_path / "b.odt")
    with pytest.raises(FileNotFoundError):
        read_book(tmp_path / "c.epub")
    with pytest.raises(UnreadableBook, match=r"b.txt is not text in utf-8: save it as UTF-8"):
        chapters(tmp_path / "b.txt", "niña".encode("latin-1"))


TEXT = (
    "The House\n\nChapter 1\n\nIt rained.\nAll night.\n\nCHAPTER II. Home\n\nChapter 9 was his\nfavourite.\n"
)
MARKDOWN = (
    "# My *book*\n\n## One\nA **dog** [ran](u)\noff.\n\n- a\n- b\n\n```\n# c\n\n```\n\n## Two ##\n\nA cat.\n"
)
HTML = (
    "<html lang=fr><title>Le  livre</title><body><h1>Le livre</h1><h2>Un</h2><p>Bonjour <b>à</b> tous."
    "<h2>Deux</h2><p>Au revoir.<script>no()</script></html>"
)


def chapters(path: Path, text: str | bytes) -> list[tuple[str, tuple[str, ...]]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [(each.title, each.paragraphs) for each in read_book(path).chapters]


def test_markdown_and_html_are_divided_at_their_headings(tmp_path: Path) -> None:
    found = chapters(tmp_path / "b.md", MARKDOWN)
    assert [title for title, _ in found] == ["My book", "One", "Two"]
    assert found[1][1] == ("One", "A dog ran off.", "• a\n• b", "```\n# c\n\n```")
    assert read_book(tmp_path / "b.md").title == "My book"
    assert chapters(tmp_path / "b.html", HTML) == [
        ("Le livre", ("Le livre",)),
        ("Un", ("Un", "Bonjour à tous.")),
        ("Deux", ("Deux", "Au revoir.")),
    ]
    book = read_book(tmp_path / "b.html")
    assert (book.title, book.language) == ("Le livre", "fr")


def test_pieces_are_short_whole_and_end_with_a_sentence() -> None:
    long = "This is a sentence of some words. " * 200
    book = Book("b", "", "", (Chapter("1", ("One.", long, "x" * 5_000)), Chapter("2", ("Two.",))))
    pieces = pieces_of(book, Manner("espeak", "1"))
    assert all(0 < len(piece.text) <= MAX_PIECE for piece in pieces)
    written = "".join(each for chapter in book.chapters for each in chapter.paragraphs)
    assert "".join("".join(piece.text for piece in pieces).split()) == "".join(written.split())
    assert all(piece.text.endswith(("words.", "x", "Two.")) for piece in pieces)
    assert [piece.chapter for piece in pieces][-2:] == [1, 2]
    # Those in the middle of a paragraph follow without its pause.
    assert [piece.text[:4] for piece in pieces if not piece.goes_on] == ["One.", "xxxx", "Two."]


def test_keys_change_with_all_that_the_speech_depends_on() -> None:
    book = Book("b", "", "", (Chapter("1", ("One.",)), Chapter("2", ("Two.",))))
    plain = Manner("espeak", "1")
    changes = {"engine": "auto", "version": "2", "voice": "v", "language": "es", "speed": 2.0}
    changes |= {"emotion": "happy", "reference": "00"}
    manners = [plain, *(replace(plain, **{name: value}) for name, value in changes.items())]  # type: ignore[arg-type]
    assert len({pieces_of(book, manner)[0].key for manner in manners}) == 8
    first, second = (
        [piece.key for piece in pieces_of(book, manner)]
        for manner in (plain, replace(plain, voices={2: "w"}))
    )
    assert first[0] == second[0] and first[1] != second[1]
    assert digest(book) != digest(Book("b", "", "", book.chapters[:1]))


@pytest.mark.parametrize(
    ("html", "read"),
    [
        ("<p>About 10<sup>6</sup>, 6.02×10<sup>-23</sup>, mc<sup>2</sup></p>", "About 10⁶, 6.02×10⁻²³, mc²"),
        ("<p>x<sup>n</sup>, H<sub>2</sub>O, 1<sup>er</sup></p>", "x^n, H₂O, 1er"),
        ("<p>1<sup>a</sup>, 2<sup>o</sup>, 5<sup>e</sup>, 2<sup>n</sup></p>", "1ª, 2º, 5e, 2^n"),
        ("<p>n<sup>o</sup> 3, N<sup>o</sup>&nbsp;4, do<sup>o</sup></p>", "№ 3, № 4, do^o"),
        ('<p>house.<a epub:type="noteref" href="#n1">1</a> Then.<sup>2</sup></p>', "house. Then."),
        ('<p>war[3] and cost.<sup><a href="#n3">14</a></sup></p>', "war and cost."),
        ('<p>a <a href="#c1">Chapter 1</a> <code>b[3]</code></p>', "a Chapter 1 b[3]"),
        ('<p>walked <span epub:type="pagebreak">12</span>down <span class="pagenum">[13]</span>on</p>',
         "walked down on"),
        ('<p>a</p><aside role="doc-footnote"><p>1. A note.</p></aside><p>b</p>', "a / b"),
        ('<p>a</p><section class="footnotes"><ol><li>A <a>note</a>.</li></ol></section><p>b</p>', "a / b"),
        ('<p>a <span class="page-number">9</span>b</p><div epub:type="endnotes"><p>1. c</p></div>', "a b"),
        ('<p>a</p><p>b <a role="doc-backlink" href="#x">↩</a></p><iframe>c</iframe>', "a / b"),
        ("<p>a<span hidden>no<span>x</span>y</span> b</p>", "a b"),
        ('<p>a</p><div style="display: none"><p>b</p></div><p>c <span hidden>d</p><p>e</p>', "a / c / e"),
        # Python makes no integer of so many digits.
        *((f'<p title="&#{one};">a &#{one}; b</p>', "a \ufffd b") for one in ("9" * 5000, "x" + "f" * 5000)),
        ("<p>a <math><msup><mi>x</mi><mn>2</mn></msup><mo>=</mo><mfrac><mn>1</mn><mi>y</mi></mfrac></math>",
         "a x^2=1/y"),
        ('<p>a <m:math><m:semantics><m:mi>x</m:mi><m:annotation encoding="application/x-tex">x^2'
         "</m:annotation></m:semantics></m:math> b</p>", "a $x^2$ b"),
        ("<p>a <math><msup><msqrt><mn>2</mn></msqrt><mrow><mi>n</mi><mo>+</mo><mn>1</mn></mrow></msup>"
         "<mo>=</mo><mfrac><mrow><mi>y</mi></mrow><msqrt><mi>z</mi><mo>-</mo><mn>1</mn></msqrt></mfrac></math>",
         "a √2^(n+1)=y/√(z-1)"),
        ("<p>a <math><mo>$</mo><mn>5</mn></math> b", "a $5 b"),
        ('<p>area <math alttext="x^2"><mi>x</mi></math><br/>\nof<br/><br/>all</p>', "area x^2\nof\nall"),
    ],
)  # fmt: skip
def test_marks_of_print_are_read_as_a_reader_would(html: str, read: str) -> None:
    assert " / ".join(block.text for block in read_html(html.encode())[0]) == read


def test_a_fault_costs_a_part(tmp_path: Path) -> None:
    faults: list[tuple[dict[str, str | bytes | None], int]] = [
        ({"OEBPS/text/one.xhtml": None}, 1),
        ({"OEBPS/nav.xhtml": NAV.replace("</a>", "&nbsp;&amp; & more</a>")}, 3),
        ({"OEBPS/nav.xhtml": NAV[:-30]}, 2),
        ({"OEBPS/book.opf": PACKAGE.replace("</dc:title>", "&nbsp;</dc:title>", 1)}, 3),
        ({"OEBPS/book.opf": PACKAGE.replace("application/xhtml+xml", "text/x-oeb1-document")}, 3),
        ({"OEBPS/other\\two.xhtml": TWO}, 3),
        ({"OEBPS/book.opf": PACKAGE.replace(' properties="nav"', "").replace('idref="nav"', "")}, 2),
        ({"OEBPS/nav.xhtml": NAV.replace('.xhtml"', '.xhtml#gone"')}, 3),
        ({"META-INF/encryption.xml": ENCRYPTION.format(FONTS)}, 3),
        # A link that leads out of the book.
        ({"OEBPS/nav.xhtml": NAV.replace("text/two%20b", "../../two")}, 2),
        ({"OEBPS/nav.xhtml": NAV.replace("text/two%20b.xhtml", "mailto:a@b.c")}, 2),
        ({"OEBPS/nav.xhtml": NAV.replace("text/two%20b", "//host/two%20b")}, 2),
        ({"OEBPS/nav.xhtml": NAV.replace("two%20b", "gone")}, 2),
        ({"OEBPS/nav.xhtml": NAV.replace("one", "gone").replace("two%20b", "gone")}, 2),
        ({"OEBPS/book.opf": PACKAGE.replace("<spine>", GUIDE.format("../../../etc/passwd"))}, 3),
    ]
    for changes, count in faults:
        assert len(read_book(epub(tmp_path / "b.epub", changes)).chapters) == count


@pytest.mark.parametrize("gone", ["text/gone.xhtml", "text/"])
def test_log_names_an_entry_of_the_contents_that_leads_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, gone: str
) -> None:
    changes = {"OEBPS/nav.xhtml": NAV.replace("text/two%20b.xhtml", gone), "OEBPS/folder/": ""}
    read_book(epub(tmp_path / "b.epub", changes))
    assert [each.getMessage() for each in caplog.records] == [
        f"An entry of the contents is left out: it leads to {gone!r}"
    ]


def test_pictures_that_are_not_there_are_counted(tmp_path: Path) -> None:
    shown = ONE.replace("</body>", '<img src="gone.png"/><img src="data:image/png;base64,AA"/></body>')
    book = read_book(epub(tmp_path / "b.epub", {"OEBPS/text/one.xhtml": shown}))
    assert book.left_out == {"pictures": 2}


@pytest.mark.parametrize(
    "changes",
    [
        {"OEBPS/nav.xhtml": NAV.replace('="text/', '="/OEBPS/text/')},
        {"OEBPS/nav.xhtml": NAV.replace('="text/', '="../OEBPS/./text/')},
        {"OEBPS/nav.xhtml": NAV.replace('="text/', '="../../text/')},
        {"OEBPS/nav.xhtml": NAV.replace('="text/', '=" OEBPS/xhtml/')},
        {"OEBPS/nav.xhtml": NAV.replace('.xhtml"', '.xhtml?page=1"')},
        {"OEBPS/nav.xhtml": NAV.replace("text/", "text\\")},
        {"OEBPS/nav.xhtml": NAV.replace("two%20b", "TWO B")},
        {"OEBPS/book.opf": PACKAGE.replace("text/", "Text/").replace("cover.png", "Cover.PNG")},
        {"OEBPS/book.opf": PACKAGE.replace('href="', 'href="/OEBPS/')},
        {"META-INF/container.xml": CONTAINER.replace("OEBPS/", "/oebps/")},
        {"META-INF/container.xml": None, "meta-inf/Container.xml": CONTAINER},
        {"OEBPS/text/two b.xhtml": None, "OEBPS/text/two%20b.xhtml": TWO},
        *(
            {
                "OEBPS/text/one.xhtml": None,
                f"OEBPS/text/{stored}.xhtml": ONE,
                "OEBPS/book.opf": PACKAGE.replace("one.xhtml", "\xfcno.xhtml"),
                "OEBPS/nav.xhtml": NAV.replace("one.xhtml", "%C3%BCno.xhtml"),
            }
            for stored in ("\xfcno", "u\u0308no", "\xdcNO")
        ),
    ],
)
def test_names_of_files_are_found_as_readers_find_them(
    tmp_path: Path, changes: dict[str, str | bytes | None]
) -> None:
    book = read_book(epub(tmp_path / "b.epub", changes))
    assert [each.title for each in book.chapters] == ["Uno", "Dos", "Tres"] and book.cover is not None


def test_book_in_a_folder_of_its_archive(tmp_path: Path) -> None:
    def within(folder: str, **more: str) -> Path:
        names: dict[str, str | bytes | None] = dict.fromkeys(FILES)
        return epub(
            tmp_path / "b.epub", names | {f"{folder}/{name}": data for name, data in FILES.items()} | more
        )

    book = read_book(within("La casa", **{"__MACOSX/La casa/META-INF/._container.xml": "\0"}))
    assert [each.title for each in book.chapters] == ["Uno", "Dos", "Tres"] and book.cover is not None
    with pytest.raises(UnreadableBook, match="without copy protection"):
        read_book(within("La casa", **{"La casa/META-INF/encryption.xml": ENCRYPTION.format(ADEPT)}))
    with pytest.raises(UnreadableBook, match="is no EPUB: it lacks META-INF"):
        read_book(within("a", **{"b/META-INF/container.xml": CONTAINER}))


@pytest.mark.parametrize(
    ("titles", "title"),
    [
        ('<dc:title id="a">Sub</dc:title><dc:title id="b">Main</dc:title>', "Main"),
        ('<dc:title id="b">Main</dc:title><dc:title id="a">Sub</dc:title>', "Main"),
        ("<dc:title>One</dc:title><dc:title>Two</dc:title>", "One"),
        ("<dc:title/>", "b"),
    ],
)
def test_main_title_is_the_books(tmp_path: Path, titles: str, title: str) -> None:
    kinds = "".join(
        f'<meta refines="#{name}" property="title-type">{kind}</meta>'
        for name, kind in (("a", "subtitle"), ("b", "main"))
    )
    package = PACKAGE.replace("<dc:title>La casa &amp; el río</dc:title>", titles + kinds)
    assert read_book(epub(tmp_path / "b.epub", {"OEBPS/book.opf": package})).title == title


def test_a_name_that_is_there_is_that_file(tmp_path: Path) -> None:
    book = read_book(
        epub(tmp_path / "b.epub", {"OEBPS/Text/One.xhtml": "<p>Another.</p>", "oebps/nav.xhtml": "x"})
    )
    assert book.chapters[0].paragraphs[0] == "Capítulo uno"


def test_protection_is_refused_whatever_its_case(tmp_path: Path) -> None:
    with pytest.raises(UnreadableBook, match="without copy protection"):
        read_book(epub(tmp_path / "b.epub", {"META-INF/Encryption.XML": ENCRYPTION.format(ADEPT)}))


def test_entry_of_the_contents_is_read_as_a_heading(tmp_path: Path) -> None:
    label = "<span>3</span><span>La <ruby>casa<rt>カサ</rt></ruby></span>"
    book = read_book(epub(tmp_path / "b.epub", {"OEBPS/nav.xhtml": NAV.replace("Tres", label)}))
    assert book.chapters[2].title == "3 La casa"


def test_text_begins_after_its_front(tmp_path: Path) -> None:
    for name, old, new, start in (
        ("nav.xhtml", "Uno", "Title Page", 1),
        ("nav.xhtml", 'one.xhtml">Cover', 'two b.xhtml" epub:type="bodymatter">Text', 2),
        ("book.opf", "<spine>", '<guide><reference type="text" href="text/one.xhtml#b"/></guide><spine>', 1),
        ("text/one.xhtml", "<body>", '<body epub:type="frontmatter copyright-page">', 2),
    ):
        changed = str(FILES[f"OEBPS/{name}"]).replace(old, new)
        assert read_book(epub(tmp_path / "b.epub", {f"OEBPS/{name}": changed})).start == start


def test_plain_text_is_divided_at_lines_that_open_chapters(tmp_path: Path) -> None:
    expected = [
        ("b", ("The House",)),
        ("Chapter 1", ("Chapter 1", "It rained.\nAll night.")),
        ("CHAPTER II. Home", ("CHAPTER II. Home", "Chapter 9 was his favourite.")),
    ]
    assert chapters(tmp_path / "b.txt", TEXT) == expected
    assert chapters(tmp_path / "b.txt", TEXT.replace("\n", "\r\n").encode("utf-16")) == expected
    assert chapters(tmp_path / "b.txt", "Only this.") == [("b", ("Only this.",))]
    for text, titles in (
        ("Top\n\nCHAPTER I.\nDown the Hole\n\nAlice sat.\n\nCHAPTER II.\nThe Pool\n\nTears.",
         ["CHAPTER I. Down the Hole", "CHAPTER II. The Pool"]),
        ("I\n\nAlice sat.\n\nII\n\nTears.", ["I", "II"]),
        ("LETTER 1\n\nHi.\n\nLETTER 2\n\n1\n\nIt was\n\n2\n\nlate.", ["LETTER 1", "LETTER 2"]),
        ("I. Fox\n\nII. Hen\n\nBy C.\n\nI. Fox\n\nRan.\n\nII. Hen\n\nSat.", ["b", "I. Fox", "II. Hen"]),
        ("第一章\n\n春。\n\n第十二章 夏\n\n暑い。", ["第一章", "第十二章 夏"]),
        ("Chapter 9 was his\nfavourite.\n\nI\n\nsaid no.", ["b"]),
    ):  # fmt: skip
        assert [title for title, _ in chapters(tmp_path / "b.txt", text)][-len(titles) :] == titles


def test_lines_flow_without_what_project_gutenberg_added(tmp_path: Path) -> None:
    wide = "The brown fox jumps over the dog and then goes right back to\nwhere it was, twenty-\nfive miles."
    verse = "Tyger Tyger, burning bright,\nIn the forests of the night"
    mark = "OF THE PROJECT GUTENBERG EBOOK ***"
    text = f"Title: A Tale\n\nAuthor: C. D.\n\n*** START {mark}\n\n{wide}\n\n[Illustration: a\nmap]\n\n"
    found = chapters(
        tmp_path / "b.txt", f"{text}* * *\n\n{verse}\n\n_So_ it ended.\n\n*** END {mark}\n\nUpdated"
    )
    flowing = wide.replace("to\n", "to ").replace("-\n", "-")
    assert found == [("A Tale", (flowing, verse, "So it ended."))]
    assert read_book(tmp_path / "b.txt").author == "C. D."


def test_html_in_no_encoding_that_it_declares_is_read_as_browsers_do() -> None:
    xml = '<?xml version="1.0" encoding="{}"?>'
    for declared in ("", *(xml.format(name) for name in ("utf-8", "utf8", "us-ascii", "ascii"))):
        data = f"{declared}<p>“niña”</p>".encode("windows-1252")
        assert [each.text for each in read_html(data)[0]] == ["“niña”"]
    assert read_html("<p>“niña”</p>".encode() + b"<p>a\x97b</p>")[0][0].text == "“niña”"


def test_declared_encoding_counts_where_the_text_is_no_utf_8() -> None:
    program, meta, head = (
        'open(f, encoding="latin-1") niño',
        '<meta charset="iso-8859-1"> piñas',
        "Character set ",
    )
    assert decode(program.encode()) == program
    for text in (meta, f"{head}encoding: ISO-8859-1\n\nniño"):
        assert decode(text.encode()) == decode(text.encode("latin-1")) == text


@pytest.mark.parametrize(
    ("name", "before", "unit"),
    [
        *(("b.md", "# a", unit) for unit in (" ", "\t", "#", " #", "# ")),
        *(("b.md", f"# a{' ' * 400}b", unit) for unit in (" ", "#", "\t")),
        *(("b.md", "", unit) for unit in ("- \n", "* a\n", "1. \n", "•\n", "> ", "|a", "*a_")),
        ("b.md", "a *b*\n```\n", "\n"),
        *(("b.txt", "Title:", unit) for unit in (" ", "\n a", "\n", "_a", "[Illustration:", "I\n\n", "* ")),
        *(("b.html", "<p>a", unit) for unit in ("<", "<a ", "<a\n", "<a b=", "<p a='", "</", "</a", "<sup>")),
        *(("b.html", "<p>a", unit) for unit in ("<!--", "<!", "<?", "<![CDATA[", "<![if ", "1<sup>2</sup>")),
        ("b.html", "<p>" + "<sup>" * 400, "1</sup>"),
    ],
)
def test_reading_takes_linear_time(tmp_path: Path, name: str, before: str, unit: str) -> None:
    path = tmp_path / name

    def read(text: str) -> None:
        path.write_text(f"{before}{text}c\nx", encoding="utf-8")
        read_book(path)

    assert is_linear(read, unit, 400 if name == "b.md" else 2_000)


@pytest.mark.parametrize("between", ["\n", " ", "\t"])
def test_declared_encoding_is_found_in_linear_time(between: str) -> None:
    def fail(text: str) -> None:
        with pytest.raises(UnreadableBook):
            decode(b"\xff<meta charset=" + text.encode())

    assert is_linear(fail, between)


def test_marks_around_a_heading_are_not_its_title(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text(
        "# One ##  \n\na\n\n#\tC#\n\nb\n\n## ##\n\n# F ## #\n\nc", encoding="utf-8"
    )
    assert [each.title for each in read_book(tmp_path / "b.md").chapters] == ["One", "C#", "F ##"]


def test_html_that_breaks_off_and_sections_that_are_not_known() -> None:
    for text in ("a<![x[b]]>", "a<![CDATA[b>]]>", "a<!--b", "a<b c", "a</b", "a<![x", "a<?b", "a<!b"):
        assert [each.text for each in read_html(f"<p>{text}".encode())[0]] == ["a"], text
    assert read_html(b"<p>1 < 2 <")[0][0].text == "1 < 2 <"
