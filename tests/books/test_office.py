"""PDF and DOCX: paragraphs, chapters and facts; what is left out is counted, and nothing expands too far."""

from __future__ import annotations

import io
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import pytest
from pypdf import PdfReader, PdfWriter

from kani.books import as_json
from kani.books.book import UnreadableBook
from kani.books.reading import read_book

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
STYLES = (
    '<w:style w:styleId="Titre1"><w:name w:val="heading 1"/><w:pPr><w:outlineLvl w:val="0"/></w:pPr>'
    "</w:style>"
)
FACTS = (
    '<c:coreProperties xmlns:c="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
    'xmlns:d="http://purl.org/dc/elements/1.1/"><d:title>The Lake</d:title><d:creator>Ann Lee</d:creator>'
    "</c:coreProperties>"
)
BODY = """
<w:p><w:pPr><w:pStyle w:val="Titre1"/></w:pPr><w:r><w:t>One</w:t></w:r></w:p>
<w:p><w:r><w:t xml:space="preserve">The lake is </w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t>calm</w:t></w:r>
<w:del><w:r><w:delText>not </w:delText><w:t>never</w:t></w:r></w:del><w:r><w:t>.</w:t><w:footnoteReference/>
</w:r></w:p>
<w:p><w:pPr><w:pStyle w:val="Titre1"/></w:pPr><w:r><w:t>Two</w:t></w:r></w:p>
<w:tbl><w:tr><w:tc><w:p><w:r><w:t>Fish</w:t></w:r></w:p></w:tc>
<w:tc><w:p><w:r><w:t>12</w:t></w:r></w:p></w:tc></w:tr></w:tbl>
<w:p><w:r><w:drawing><w:t>not read</w:t></w:drawing></w:r></w:p>
"""
LINES = (
    "The boat went out at dawn, when nobody else was awake to see it,",
    "and it came back after the sun had gone down behind the far hills.",
    "The fish were few.",
    "In the evening the whole village met at the water to hear what",
    "had happened. Nobody said a word for a long time.",
)


def docx(path: Path, body: str = BODY, **parts: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in {"document": f"<w:body>{body}</w:body>", "styles": STYLES, **parts}.items():
            file.writestr(f"word/{name}.xml", f'<w:{name} xmlns:w="{WORD}">{content}</w:{name}>')
        file.writestr("docProps/core.xml", FACTS)
    return path


def page_of(lines: tuple[str, ...]) -> bytes:
    shown = "".join(f"({line}) Tj T* " for line in lines)
    return f"BT /F1 12 Tf 14 TL 72 720 Td {shown}ET".encode()


def pdf(path: Path, pages: list[bytes], titles: tuple[str, ...] = ()) -> Path:
    """Write a PDF with a content stream for each page, and an outline of as many titles."""
    kids = " ".join(f"{n * 2 + 4} 0 R" for n in range(len(pages)))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Count {len(pages)}/Kids[{kids}]>>".encode(),
        b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    ]
    for n, content in enumerate(pages):
        resources = f"/Resources<</Font<</F1 3 0 R>>>>/Contents {n * 2 + 5} 0 R"
        objects.append(f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]{resources}>>".encode())
        packed = zlib.compress(content)
        head = f"<</Length {len(packed)}/Filter/FlateDecode>>stream\n".encode()
        objects.append(head + packed + b"\nendstream")
    body = b"%PDF-1.7\n" + b"".join(
        b"%d 0 obj\n%b\nendobj\n" % (n, each) for n, each in enumerate(objects, 1)
    )
    places = [body.index(b"%d 0 obj\n" % n) for n in range(1, len(objects) + 1)]
    table = b"".join(b"%010d 00000 n \n" % at for at in places)
    count = len(objects) + 1
    body += b"xref\n0 %d\n0000000000 65535 f \n%b" % (count, table)
    body += b"trailer<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (count, body.index(b"xref"))
    writer = PdfWriter(PdfReader(io.BytesIO(body)))
    writer.add_metadata({"/Title": "The Lake", "/Author": "Ann Lee"})
    for n, title in enumerate(titles):
        writer.add_outline_item(title=title, page_number=n)
    writer.write(path)
    return path


def test_docx_has_chapters_tables_and_facts(tmp_path: Path) -> None:
    book = read_book(docx(tmp_path / "lake.docx"))
    assert (book.title, book.author) == ("The Lake", "Ann Lee")
    assert [(each.title, each.paragraphs) for each in book.chapters] == [
        ("One", ("One", "The lake is calm.")),
        ("Two", ("Two", "Fish, 12")),
    ]
    assert book.left_out == {"notes": 1, "pictures": 1}
    assert as_json.from_json(as_json.as_json(book)) == book


def test_docx_is_read_as_a_reader_would(tmp_path: Path) -> None:
    styles = (
        ("Heading1", '<w:name w:val="heading 1"/>'),
        ("Own", '<w:name w:val="Chapter"/><w:basedOn w:val="Heading1"/>'),
        ("TOC1", '<w:name w:val="toc 1"/>'),
        ("Big", '<w:basedOn w:val="Heading1"/><w:pPr><w:outlineLvl w:val="9"/></w:pPr>'),
    )
    shown = "".join(f'<w:style w:styleId="{name}">{inside}</w:style>' for name, inside in styles)
    kinds = ((0, "decimal"), (1, "lowerLetter"))
    levels = "".join(f'<w:lvl w:ilvl="{n}"><w:numFmt w:val="{kind}"/></w:lvl>' for n, kind in kinds)
    numbers = f'<w:abstractNum w:abstractNumId="7">{levels}</w:abstractNum>'
    numbers += '<w:num w:numId="1"><w:abstractNumId w:val="7"/></w:num>'

    def run(text: str, how: str = "") -> str:
        return f"<w:r><w:rPr>{how}</w:rPr><w:t xml:space='preserve'>{text}</w:t></w:r>"

    def paragraph(inside: str, how: str = "") -> str:
        return f"<w:p><w:pPr>{how}</w:pPr>{inside}</w:p>"

    def item(text: str, depth: int) -> str:
        return paragraph(run(text), f'<w:numPr><w:ilvl w:val="{depth}"/><w:numId w:val="1"/></w:numPr>')

    raised, lowered = (f'<w:vertAlign w:val="{each}script"/>' for each in ("super", "sub"))
    ruby = f"<w:r><w:ruby><w:rt>{run('かんじ')}</w:rt><w:rubyBase>{run('漢字')}</w:rubyBase></w:ruby></w:r>"
    door = '<w:r><w:drawing><w:docPr w:descr="Enter &amp; key"/></w:drawing></w:r>'
    path = docx(
        tmp_path / "b.docx",
        paragraph(run("One 3"), '<w:pStyle w:val="TOC1"/>')
        + paragraph(run("On") + run("e"), '<w:pStyle w:val="Own"/>')
        + paragraph(run("10") + run("6", raised) + run(" H") + run("2", lowered) + run("O", "<w:b/>"))
        + paragraph(run("Two"), '<w:outlineLvl w:val="0"/>')
        + "".join(item(text, depth) for text, depth in (("Stir.", 0), ("a", 1), ("Bake.", 0), ("b", 1)))
        + paragraph(run("Three"), '<w:pStyle w:val="Big"/>')
        + paragraph(run("seen", '<w:vanish w:val="0"/>') + run(" 10") + run("-", raised) + run("2", raised))
        + paragraph(ruby + run("x", "<w:vanish/>") + run("を読む"))
        + paragraph(run("Press ") + door + run(" &lt;now&gt;.")),
        styles=shown,
        numbering=numbers,
    )
    words = ("｜漢字《かんじ》を読む", "Press Enter & key <now>.")
    assert [each.paragraphs for each in read_book(path).chapters] == [
        ("One", "10⁶ H₂O"),
        ("Two", "1. Stir.", "A. a", "2. Bake.", "A. b", "Three", "seen 10⁻²", *words),
    ]


def test_lists_of_a_document_share_the_levels_of_their_kind(tmp_path: Path) -> None:
    levels = "".join(f'<w:lvl w:ilvl="{n}"><w:numFmt w:val="decimal"/></w:lvl>' for n in range(1_000))
    numbers = f'<w:abstractNum w:abstractNumId="7">{levels}</w:abstractNum>'
    for n in range(1_000):
        numbers += f'<w:num w:numId="{n}"><w:abstractNumId w:val="7"/></w:num>'
    path = docx(tmp_path / "b.docx", numbering=numbers)
    tracemalloc.start()
    read_book(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # A million levels would take some 100 MB.
    assert peak < 20 << 20


@pytest.mark.parametrize("name", ["Kapitel {}", "{}. Kapitel", "Chapter {}: The Road"])
def test_lines_that_look_like_headings_open_chapters(tmp_path: Path, name: str) -> None:
    titles = [name.format(number) for number in (1, 2)]
    body = "".join(f"<w:p><w:t>{each}</w:t></w:p><w:p><w:t>It rained.</w:t></w:p>" for each in titles)
    html = "".join(f"<p>{each}</p><p>It rained.</p>" for each in titles)
    (tmp_path / "b.html").write_text(html)
    for path in (docx(tmp_path / "b.docx", body), tmp_path / "b.html"):
        assert [each.title for each in read_book(path).chapters] == titles


def test_pdf_has_paragraphs_that_go_on_over_pages(tmp_path: Path) -> None:
    split = (page_of((*LINES[:4], "1")), page_of((*LINES[4:], "2")))
    book = read_book(pdf(tmp_path / "lake.pdf", [*split]))
    assert (book.title, book.author) == ("The Lake", "Ann Lee")
    (chapter,) = book.chapters
    assert " ".join(" ".join(chapter.paragraphs).split()) == " ".join(LINES)
    assert len(chapter.paragraphs) == 2 and chapter.paragraphs[0].endswith("few.")


def test_pdf_has_the_chapters_of_its_outline(tmp_path: Path) -> None:
    pages = [page_of((f"Page {name} says that it is page {name}.",)) for name in ("one", "two", "three")]
    book = read_book(pdf(tmp_path / "b.pdf", [*pages, b""], ("First", "Second")))
    assert [each.title for each in book.chapters] == ["First", "Second"]
    assert "page three" in book.chapters[1].paragraphs[-1]
    assert book.left_out == {"pages": 1}


def test_pictures_of_pages_have_no_text(tmp_path: Path) -> None:
    with pytest.raises(UnreadableBook, match=r"^scan\.pdf has no text, only pictures of pages"):
        read_book(pdf(tmp_path / "scan.pdf", [b"", b""]))


@pytest.mark.parametrize("ending", [".pdf", ".docx"])
def test_what_is_damaged_is_refused(tmp_path: Path, ending: str) -> None:
    made = pdf(tmp_path / "a.pdf", [page_of(LINES)]) if ending == ".pdf" else docx(tmp_path / "a.docx")
    whole = made.read_bytes()
    for n, content in enumerate((b"", b"no book" * 99, whole[: len(whole) // 3], whole[len(whole) // 2 :])):
        path = tmp_path / f"{n}{ending}"
        path.write_bytes(content)
        with pytest.raises(UnreadableBook, match=rf"^{n}\{ending} "):
            read_book(path)


def test_nothing_expands_too_far(tmp_path: Path) -> None:
    with pytest.raises(UnreadableBook, match="expands too far"):
        read_book(docx(tmp_path / "bomb.docx", BODY + " " * (17 << 20)))
    bomb = b"(x) Tj " * (100_000_000 // 7)
    with pytest.raises(UnreadableBook, match=r"damaged|no text"):
        read_book(pdf(tmp_path / "bomb.pdf", [bomb]))
