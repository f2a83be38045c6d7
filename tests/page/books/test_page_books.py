"""A book on the page: its chapters, its place, and its audiobook."""

import re
from io import BytesIO
from itertools import pairwise
from pathlib import Path

import av
import pytest
from playwright.sync_api import Page, expect

from tests.books.epubs import NAV, epub
from tests.page.conftest import Visit, in_both
from tests.page.test_page_looks import apart
from tests.page.visitor import Visitor

CHAPTERS = ["1. Uno", "2. Dos", "3. Tres"]
ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'


def give(page: Page, path: Path) -> None:
    page.set_input_files("#book-file", path)


@in_both
def test_chapter_is_chosen_and_spoken(visitor: Visitor, tmp_path: Path) -> None:
    page, book = visitor.page, epub(tmp_path / "b.epub")
    text, chapter = page.locator("#text"), page.locator("#chapter")
    page.fill("#text", typed := "What I wrote.")
    give(page, book)
    expect(text).to_have_value("Capítulo uno\n\nEl perro duerme en la casa.")
    assert chapter.locator("option").all_inner_texts() == CHAPTERS and page.is_hidden("#book")
    expect(page.get_by_label("Chapters of “La casa & el río”")).to_be_focused()
    # A closed list chooses with each arrow key, and keeps the focus.
    page.keyboard.press("ArrowDown")
    expect(text).to_have_value("Capítulo dos\n\nLa niña come pan.")
    page.keyboard.press("ArrowDown")
    expect(text).to_have_value("El tren sale tarde.")
    expect(chapter).to_be_focused()
    page.click("#pause")
    visitor.wait_for_end()
    assert visitor.requests[-1]["text"] == "El tren sale tarde."
    page.get_by_role("button", name="Close the book").click()
    expect(text).to_have_value(typed)
    expect(page.locator("#book-open")).to_be_hidden()
    expect(page.locator("#text")).to_be_focused()
    expect(page.locator("#toast-text")).to_have_text("Book closed.")
    page.click("#toast-undo")
    # It was read to its end, and begins anew.
    expect(text).to_have_value("Capítulo uno\n\nEl perro duerme en la casa.")


@in_both
@pytest.mark.parametrize(("tab", "place"), [("speak", "#emotions"), ("speak", "body"), ("talk", ".top")])
def test_file_is_dropped_anywhere_and_does_not_replace_the_page(page: Page, tab: str, place: str) -> None:
    page.click(f"#tab-{tab}")
    kept = page.evaluate(
        """(place) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File(["# One\\n\\nFirst.\\n\\n# Two\\n\\nSecond."], "Notes.md"));
            const drop = new DragEvent("drop", { dataTransfer, bubbles: true, cancelable: true });
            return document.querySelector(place).dispatchEvent(drop);
        }""",
        place,
    )
    assert not kept
    expect(page.locator("#chapter option")).to_have_text(["1. One", "2. Two"])
    expect(page.locator("#text")).to_have_value("One\n\nFirst.")


def test_what_is_no_book_is_explained_in_the_pages_language(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(locale="es-ES")
    visitor.network_may_fail = True  # the browser's own words about a 400
    page, text = visitor.page, visitor.value("#text")
    give(page, epub(tmp_path / "b.epub", {"OEBPS/nav.xhtml": ENTITIES + NAV}))
    problem = page.locator("#problem")
    expect(problem).to_contain_text("No es un libro que se pueda leer: b.epub declares XML entities")
    expect(page.locator("#book-open")).to_be_hidden()
    large = tmp_path / "large.txt"
    with large.open("wb") as file:
        file.truncate((64 << 20) + 1)
    give(page, large)
    expect(problem).to_have_text("Demasiado grande: se admiten 64 MB como máximo.")
    assert visitor.value("#text") == text
    give(page, epub(tmp_path / "good.epub"))
    expect(page.locator("#chapter option")).to_have_text(CHAPTERS)
    expect(problem).to_be_empty()


@pytest.mark.parametrize(("width", "height"), [(1366, 768), (390, 844), (844, 390)])
def test_what_is_no_book_is_told_beside_a_chapter_that_is_edited(
    visit: Visit, tmp_path: Path, width: int, height: int
) -> None:
    page = visit(viewport={"width": width, "height": height}, network_may_fail=True).page
    give(page, long_book(tmp_path))
    choose(page, "Edit")
    (tmp_path / "bad.epub").write_bytes(b"nothing")
    give(page, tmp_path / "bad.epub")
    problem = page.locator("#problem")
    expect(problem).to_contain_text("This is no book")
    expect(problem).to_be_in_viewport(ratio=1)
    assert apart(page, "#problem", "#text", "#emotions", "#speak") and apart(page, "#problem", "#stage")


@in_both
@pytest.mark.parametrize("key", [True, False])
def test_button_asks_for_a_file(page: Page, tmp_path: Path, key: bool) -> None:
    with page.expect_file_chooser() as choosing:
        page.press("#book", "Enter") if key else page.click("#book")
    choosing.value.set_files(epub(tmp_path / "b.epub"))
    expect(page.locator("#chapter option")).to_have_text(CHAPTERS)
    # No ring is shown to users of a mouse.
    expect(
        page.locator("#chapter:focus-visible" if key else "#chapter:focus:not(:focus-visible)")
    ).to_be_visible()


def test_chapters_are_accessible_in_each_language(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(viewport={"width": 360, "height": 640}, reduced_motion="reduce")
    page, book = visitor.page, epub(tmp_path / "b.epub")
    labels = set()
    for language in visitor.each_language():
        page.fill("#text", "")  # all buttons of the text are there
        give(page, book)
        page.wait_for_selector("#chapter")
        labels.add(page.inner_text("#book-open label"))
        assert visitor.is_wide_enough(), language
        visitor.few_voices()
        assert visitor.violations() == "", language
    assert len(labels) == 8 and all("La casa & el río" in label for label in labels)


def choose(page: Page, name: str) -> None:
    """Choose what the book's menu has."""
    page.click("#book-menu summary")
    page.locator("#book-menu").get_by_role("button", name=name).click()


ONE = "Capítulo uno\n\nEl perro duerme en la casa."
TWO = "Capítulo dos\n\nLa niña come pan."
VOICE = "#gallery [role=option] >> nth=1"
LONG = [f"This is paragraph number {number}, and it is not long." for number in range(60)]


def long_book(folder: Path, between: str = "\n\n", times: int = 1) -> Path:
    """A book whose audiobook takes some seconds; between: text between its lines; times: of its lines."""
    path = folder / "Long.md"
    path.write_text("# One\n\n" + between.join(LONG * times) + "\n\n# Two\n\nThe end.", "utf-8")
    return path


PLACE = "Object.values(JSON.parse(localStorage.getItem('kani.places')))[0][1]"
BEGUN = f"() => {PLACE} > 150"
"""Some sentences of a chapter have been heard."""


def read_long(
    page: Page, folder: Path, until: str = "() => true", between: str = " ", times: int = 1
) -> None:
    """Open a long book, and read it aloud until something is so."""
    give(page, long_book(folder, between, times))
    expect(page.locator("#book-place")).to_have_text("Chapter 1 of 2 · 0%")
    page.click("#pause")
    page.wait_for_function(until)


def reload(visitor: Visitor) -> None:
    visitor.page.reload()
    visitor.wait_for("#line[data-state=open]")
    visitor.wait_for("#chapter")


def test_book_has_its_cover_and_keeps_its_place(visitor: Visitor, page: Page, tmp_path: Path) -> None:
    page.fill("#text", "What I wrote.")
    give(page, epub(tmp_path / "b.epub"))
    expect(page.locator("#book-open h3")).to_have_text("La casa & el río")
    expect(page.locator("#book-author")).to_have_text("Ana Ruiz, Bo Li")
    page.wait_for_function("() => document.querySelector('img.cover')?.naturalWidth > 0")
    expect(page.get_by_role("button", name="Previous chapter")).to_be_disabled()
    page.get_by_role("button", name="Next chapter").click()
    expect(page.locator("#text")).to_have_value(TWO)
    reload(visitor)
    expect(page.locator("#chapter")).to_have_value("1")
    expect(page.locator("#text")).to_have_value(TWO)
    # What is typed instead of a chapter is no chapter.
    page.fill("#text", "Something else.")
    reload(visitor)
    expect(page.locator("#text")).to_have_value("Something else.")
    page.get_by_role("button", name="Previous chapter").click()
    expect(page.locator("#text")).to_have_value(ONE)
    page.go_back()
    expect(page.locator("#text")).to_have_value("What I wrote.")
    page.reload()
    visitor.wait_for("#line[data-state=open]")
    expect(page.locator("#book-open")).to_be_hidden()
    page.wait_for_function("() => document.querySelector('#history img.cover')?.naturalWidth > 0")
    expect(page.locator("#history .place")).to_have_text("0%")
    page.locator("#history button", has_text="Open").click()
    expect(page.locator("#text")).to_have_value(ONE)


def test_chapters_are_read_one_after_the_other(visitor: Visitor, page: Page, tmp_path: Path) -> None:
    give(page, epub(tmp_path / "b.epub"))
    expect(page.locator("#text")).to_have_value(ONE)
    page.click("#pause")
    page.wait_for_function("() => document.querySelector('#chapter').value === '2'")
    visitor.wait_for_end()
    assert [request["text"] for request in visitor.requests] == [ONE, TWO, "El tren sale tarde."]
    for again in (lambda: None, lambda: reload(visitor)):
        again()
        expect(page.locator("#book-place")).to_have_text("Chapter 3 of 3 · 100%")
        expect(page.locator("#history .place")).to_have_text("100%")
        expect(page.locator("#words")).to_have_text("El tren sale tarde.")
        expect(page.locator("#book-left")).to_be_empty()
        expect(page.locator("#pause")).to_have_accessible_name("Play again")
    # The book begins anew. A chapter that is chosen meanwhile is read; one that is stopped is not followed.
    page.click("#pause")
    visitor.wait_for_sound()
    page.get_by_role("button", name="Next chapter").click()
    expect(page.locator("#words")).to_contain_text("La niña")
    visitor.wait_for_sound()
    page.click("#stop")
    expect(page.locator("#chapter")).to_have_value("1")
    assert [request["text"] for request in visitor.requests[3:]] == [ONE, TWO]
    expect(page.locator("#history")).to_contain_text("Dos · La casa & el río")


def test_place_within_a_chapter_is_taken_up_again(visitor: Visitor, tmp_path: Path) -> None:
    page, text = visitor.page, visitor.page.locator("#text")
    read_long(page, tmp_path)
    page.wait_for_function(f"() => {PLACE} > 100")
    page.click("#stop")
    at = page.evaluate(PLACE)
    reload(visitor)
    whole = "One\n\n" + " ".join(LONG)
    expect(text).to_have_value(whole)
    assert whole[at:].startswith("This is") and LONG[0] not in page.evaluate("localStorage['kani.compose']")
    # The text that was read is shown as such.
    assert page.text_content("#words .said") == whole[:at] and page.text_content("#words") == whole
    expect(page.locator("#pause")).to_have_accessible_name("Continue")
    choose(page, "From the chapter’s beginning")
    expect(text).to_have_value(whole)
    assert page.evaluate(PLACE) == 0
    expect(page.locator("#pause")).to_have_accessible_name("Speak")
    page.click("#toast-undo")
    assert page.evaluate(PLACE) == at
    expect(page.locator("#book-left")).to_have_text(re.compile(r"^\d min left$"))
    place = page.locator("#book-place").inner_text().split(" · ")[1]
    assert place != "0%"
    expect(page.locator("#history .place")).to_have_text(place)
    # Another chapter keeps it, too, and tells it in the list.
    page.get_by_role("button", name="Next chapter").click()
    expect(page.locator("#chapter option").first).to_have_text(re.compile(r"^1\. One · \d+%$"))
    page.get_by_role("button", name="Previous chapter").click()
    assert page.evaluate(PLACE) == at and page.text_content("#words .said") == whole[:at]
    page.click("#book-menu summary")
    before = page.evaluate("parseFloat(getComputedStyle(words).fontSize)")
    page.select_option("#book-size", "L")
    assert page.evaluate("parseFloat(getComputedStyle(words).fontSize)") == pytest.approx(1.25 * before)


@in_both
def test_a_click_reads_from_the_sentence(visitor: Visitor, tmp_path: Path) -> None:
    page, book = visitor.page, tmp_path / "Long.md"
    book.write_text("# One" + "".join(f"\n\nPart {n} begins. It ends here." for n in range(40)), "utf-8")
    give(page, book)
    expect(page.locator("#words")).to_contain_text("Part 39")
    lines = "parseFloat(getComputedStyle(words).lineHeight)"
    whole, height, line = page.evaluate(f"[words.textContent, words.clientHeight, {lines}]")
    below = "words.scrollHeight - words.clientHeight - words.scrollTop"
    # Of neither is there any audio; the second is of what is shown as read.
    for wheel, left, y, at in (
        (10**6, below, height - line / 2 - 6, whole.rindex("It ends")),
        (-(10**6), "words.scrollTop", 2.5 * line + 6, whole.index("It ends")),
    ):
        page.hover("#words")
        page.mouse.wheel(0, wheel)
        page.wait_for_function(f"() => {left} < 1")
        page.locator("#words").click(position={"x": 260, "y": y})
        page.wait_for_function(f"() => words.firstChild.textContent.length === {at}")
        assert page.text_content("#words") == whole
    assert "It ends here." in [request["text"] for request in visitor.requests]


@pytest.mark.parametrize("act", [VOICE, "#emotions [value=happy]", "#stop", "#speed"])
def test_reading_goes_on(visitor: Visitor, tmp_path: Path, act: str) -> None:
    page, whole = visitor.page, "One\n\n" + " ".join(LONG)
    read_long(page, tmp_path)
    for least in (100, 200):
        page.wait_for_function(f"() => {PLACE} > {least}")
        visitor.unfold(act)
        page.press(act, "ArrowRight") if act == "#speed" else page.click(act)
        if act == "#stop":
            page.click("#pause")
        page.wait_for_function("() => document.querySelectorAll('#words .said').length > 0")
        assert page.evaluate(PLACE) >= least
        text = visitor.requests[-1]["text"]
        assert whole.endswith(text) and text.startswith("This is") and len(whole) - len(text) >= least


@pytest.mark.parametrize("before", ["rest", "begin", "stop"])
def test_voice_taken_while_nothing_is_heard_waits(visitor: Visitor, tmp_path: Path, before: str) -> None:
    page = visitor.page
    give(page, long_book(tmp_path, between=" "))
    expect(page.locator("#chapter option")).to_have_count(2)
    if before != "begin":
        page.click("#pause")
        page.wait_for_function("() => document.querySelectorAll('#words span.said').length > 30")
        page.click("#stop" if before == "stop" else "#pause")
    asked, act = len(visitor.requests), page.get_attribute("#pause", "data-act")
    page.click(VOICE)
    expect(page.locator(VOICE)).to_have_attribute("aria-selected", "true")
    assert len(visitor.requests) == asked and page.get_attribute("#pause", "data-act") == act
    page.click("#emotions [value=happy]")
    page.click("#pause")
    visitor.wait_for_sound()
    assert [("voice" in request, "emotion" in request) for request in visitor.requests[asked:]] == [
        (True, True)
    ]
    assert visitor.requests[0]["text"].endswith(visitor.requests[-1]["text"])


MEDIA_KEYS = """
  window.locks = [];
  const ask = WakeLock.prototype.request;
  WakeLock.prototype.request = async function (kind) {
    locks.push(await ask.call(this, kind));
    return locks.at(-1);
  };
  window.mediaKeys = {};
  const set = MediaSession.prototype.setActionHandler;
  MediaSession.prototype.setActionHandler = function (key, act) {
    mediaKeys[key] = act;
    return set.call(this, key, act);
  };
"""


@pytest.mark.parametrize("width", [1280, 390, 360])
def test_player_of_a_chapter_changes_its_voice_and_knows_the_place(
    visit: Visit, tmp_path: Path, width: int
) -> None:
    visitor = visit(viewport={"width": width, "height": 700})
    # So long that the audio of the place which is clicked has not come.
    page, whole = visitor.page, "One\n\n" + " ".join(LONG * 10)
    read_long(page, tmp_path, BEGUN, times=10)
    # What pauses it is in the player, and nothing beside that begins it.
    expect(page.locator("#speak")).to_be_hidden()
    expect(page.locator("#of")).to_have_text("One · Long")
    page.click("#playback summary")
    page.select_option("#player-voice", index=3)
    page.keyboard.press("Escape")
    # What was heard stays, and can be clicked.
    heard = page.locator("#words span.said").count()
    assert heard > 20
    page.wait_for_function(f"() => document.querySelectorAll('#words span.said').length > {heard + 3}")
    assert "voice" not in visitor.requests[0]
    second = next(request for request in visitor.requests if "voice" in request)
    before = whole.index(second["text"])
    assert second["text"].startswith("This is") and before < len(whole) / 10
    # The clock and the slider are those of the chapter.
    expect(page.locator("#of")).to_have_text("One · Long")
    at, _, length = page.inner_text("#clock").partition(" / ~")
    assert seconds(at) >= 4 and seconds(length) > 60
    assert float(page.get_attribute("#waveform", "aria-valuenow") or 0) >= 4
    page.locator("#waveform").click(position={"x": 0.8 * page.evaluate("waveform.clientWidth"), "y": 20})
    page.wait_for_function("() => document.querySelector('#words i.said')?.textContent.length > 2000")
    page.locator("#waveform").click(position={"x": 0, "y": 20})
    page.wait_for_function(f"() => document.querySelector('#words i.said').textContent.length < {before / 2}")
    visitor.wait_for_sound()
    page.click("#stop")
    assert seconds(page.inner_text("#clock").partition(" / ")[2]) > 60


def seconds(clock: str) -> int:
    minutes, _, rest = clock.lstrip("~").partition(":")
    return 60 * int(minutes) + int(rest)


@pytest.mark.parametrize(
    ("by", "what"), [("key", "Space"), ("click", "#pause"), ("evaluate", "mediaKeys.play()")]
)
def test_player_reads_on_from_where_it_was_stopped(visit: Visit, tmp_path: Path, by: str, what: str) -> None:
    visitor = visit(ready=False)
    page = visitor.page
    page.add_init_script(MEDIA_KEYS)
    visitor.arrive()
    read_long(page, tmp_path, BEGUN)
    page.click("#stop")
    expect(page.locator("#pause")).to_have_accessible_name("Continue")
    page.locator("#pause").blur()
    {"key": page.keyboard.press, "click": page.click, "evaluate": page.evaluate}[by](what)
    visitor.wait_for_sound()
    first, second = (request["text"] for request in visitor.requests)
    assert first.endswith(second) and second.startswith("This is") and len(first) - len(second) >= 150
    # One that was heard to its end is played again.
    page.get_by_role("button", name="Next chapter").click()
    page.wait_for_function("() => document.querySelector('#pause').dataset.act === 'again'")
    expect(page.locator("#pause")).to_have_accessible_name("Play again")


def test_clock_of_a_chapter_goes_on_by_another_voice_and_after_a_stop(
    visitor: Visitor, tmp_path: Path
) -> None:
    page = visitor.page
    read_long(page, tmp_path, BEGUN)
    page.evaluate(
        "() => { window.clocks = []; const note = () => clocks.push(clock.textContent);"
        " new MutationObserver(note).observe(clock, { childList: true }); }"
    )
    for act in (lambda: page.click(VOICE), lambda: page.click("#stop") or page.click("#pause")):
        act()
        visitor.wait_for_sound()
        page.wait_for_timeout(1500)
    told = [[seconds(part) for part in each.split(" / ")] for each in page.evaluate("clocks")]
    # It goes back to the beginning of its sentence, which is of some seconds.
    assert all(then[0] >= at - 6 and abs(then[1] - of) < 0.2 * of for (at, of), then in pairwise(told))


LATER = "() => (performance.now = ((now) => () => now() + 891_000)(performance.now.bind(performance)))"
"""Almost 15 minutes pass."""


def test_sleep_timer_shows_what_is_left_and_ends_what_is_heard(visitor: Visitor, tmp_path: Path) -> None:
    page, left = visitor.page, visitor.page.locator("#sleep-left")
    give(page, epub(tmp_path / "b.epub"))
    expect(page.locator("#text")).to_have_value(ONE)
    page.click("#pause")
    visitor.wait_for_sound()
    visitor.choose("#sleep", "chapter")
    expect(left).to_have_text("☾")
    visitor.wait_for_end()
    expect(page.locator("#chapter")).to_have_value("1")
    assert len(visitor.requests) == 1
    read_long(page, tmp_path)
    visitor.wait_for_sound()
    visitor.choose("#tempo", "1.1")
    visitor.choose("#sleep", "15")
    expect(left).to_contain_text("14:5")
    page.evaluate(LATER)
    expect(page.locator("#status")).to_have_text("Paused")
    assert left.inner_text() == page.input_value("#sleep") == ""
    reload(visitor)
    expect(page.locator("#tempo-shown")).to_have_text("1.1×")
    assert page.locator("#tempo option").count() >= 10


def test_text_that_was_scrolled_is_followed_again_when_asked(visit: Visit, tmp_path: Path) -> None:
    page = visit(viewport={"width": 1366, "height": 768}).page
    read_long(page, tmp_path, "() => document.querySelector('#words .now')", "\n\n")
    # Beside an audiobook that is made, too, the button is above the player.
    page.eval_on_selector("#book-bar", "bar => { bar.hidden = false; }")
    page.hover("#words")
    page.mouse.wheel(0, 3000)
    page.wait_for_function("() => words.scrollTop > 900")
    back = page.get_by_role("button", name="Back to the voice")
    expect(back).to_be_visible()
    assert page.evaluate("follow.getBoundingClientRect().bottom <= stage.getBoundingClientRect().top")
    page.evaluate(LATER)
    heard = page.inner_text("#words .now")
    page.wait_for_function("heard => document.querySelector('#words .now')?.innerText !== heard", arg=heard)
    assert page.evaluate("words.scrollTop") > 900
    back.click()
    page.wait_for_function("() => words.scrollTop < 900")
    expect(back).to_be_hidden()


def test_buttons_step_back_and_forward_and_another_book_is_opened(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(viewport={"width": 360, "height": 640}, has_touch=True)
    page = visitor.page
    expect(page.locator("#back")).to_be_hidden()
    read_long(page, tmp_path, BEGUN)
    for name, way in (("Skip back", "<"), ("Skip ahead", "> 14 +")):
        box = page.get_by_role("button", name=name).bounding_box()
        assert box and min(box["width"], box["height"]) >= 44
        before = float(page.get_attribute("#waveform", "aria-valuenow") or 0)
        page.get_by_role("button", name=name).click()
        page.wait_for_function(f"() => document.querySelector('#waveform').ariaValueNow {way} {before}")
    page.click("#stop")
    with page.expect_file_chooser() as choosing:
        choose(page, "Another book")
    choosing.value.set_files(epub(tmp_path / "b.epub"))
    expect(page.locator("#chapter option")).to_have_text(CHAPTERS)


def test_words_are_found_and_another_book_is_taken_from_the_shelf(visitor: Visitor, tmp_path: Path) -> None:
    page, said = visitor.page, visitor.page.locator("#words > i").first
    for chapters, book in ((3, epub(tmp_path / "b.epub")), (2, long_book(tmp_path, " "))):
        give(page, book)
        expect(page.locator("#chapter option")).to_have_count(chapters)
    page.click("#book-menu summary")
    page.fill("#book-search", "nowhere")
    expect(page.locator("#book-none")).to_have_text("Not found.")
    page.fill("#book-search", "NUMBER 31,")
    expect(page.locator("#book-make")).to_be_hidden()
    page.locator("#book-found button", has_text="1 · …").click()
    expect(said).to_have_text(re.compile(f"{LONG[30]} $"))
    page.click("#toast-undo")
    expect(said).to_be_empty()
    page.click("#book-menu summary")
    page.select_option("#book-shelf", label="La casa & el río · 0%")
    expect(page.locator("#text")).to_have_value(ONE)


def test_shorter_book_takes_the_place_of_one_that_is_read(visitor: Visitor, tmp_path: Path) -> None:
    page, long, short = visitor.page, tmp_path / "Long.md", tmp_path / "Short.md"
    long.write_text(f"# One\n\nIt begins.\n\n# Two\n\n{' '.join(LONG)}", "utf-8")
    short.write_text("# One\n\nShort.", "utf-8")
    give(page, long)
    page.select_option("#chapter", "1")
    page.click("#pause")
    visitor.wait_for_sound()
    give(page, short)
    expect(page.locator("#chapter option")).to_have_text(["1. One"])
    visitor.wait_for_end()
    page.click("#pause")
    expect(page.locator("#words")).to_have_text("One\n\nShort.")
    expect(page.locator("#book-place")).to_have_text("Chapter 1 of 1 · 0%")


def test_voice_of_the_books_language_is_shown(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    english = page.inner_text("#voice-chip-name")
    give(page, epub(tmp_path / "b.epub"))
    expect(page.locator("#text")).to_have_value(ONE)
    spanish = page.inner_text("#voice-chip-name")
    assert spanish != english
    expect(page.locator("#gallery [aria-selected=true] b")).to_have_text(spanish)
    assert f"({spanish}" in (page.locator("#player-voice option").first.text_content() or "")
    page.get_by_role("button", name="Next chapter").click()
    expect(page.locator("#voice-chip-name")).to_have_text(spanish)
    page.get_by_role("button", name="Close the book").click()
    expect(page.locator("#voice-chip-name")).to_have_text(english)
    # It is spoken whatever was chosen before; what is chosen from then on stays.
    visitor.choose("#language", "fr")
    give(page, epub(tmp_path / "b.epub"))
    expect(page.locator("#language")).to_have_value("")
    # Another book is open: that one cannot be brought back any more.
    expect(page.locator("#toast")).to_be_hidden()
    visitor.choose("#language", "fr")
    page.get_by_role("button", name="Next chapter").click()
    expect(page.locator("#text")).to_have_value("El tren sale tarde.")
    expect(page.locator("#language")).to_have_value("fr")


def test_book_keeps_its_voice_after_one_in_another_language(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    read_long(page, tmp_path, BEGUN)
    page.click("#playback summary")
    page.select_option("#player-voice", index=3)
    voice = page.input_value("#voice")
    page.wait_for_function("id => localStorage['kani.places'].includes(id)", arg=voice)
    reload(visitor)
    give(page, epub(tmp_path / "b.epub"))
    expect(page.locator("#text")).to_have_value(ONE)
    assert page.input_value("#voice") == ""
    give(page, tmp_path / "Long.md")
    expect(page.locator("#voice")).to_have_value(voice)


def test_keys_move_and_rest_what_is_heard(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    read_long(page, tmp_path, BEGUN)
    position = "Number(document.querySelector('#waveform').ariaValueNow)"
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_have_text("Paused")
    rested = page.evaluate(position)
    page.keyboard.press("Space")
    expect(page.locator("#pause")).to_have_accessible_name("Pause")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"() => {position} < {rested - 3}")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"() => {position} > {rested - 3}")
    # A field keeps its keys.
    page.focus("#chapter")
    page.keyboard.press("ArrowDown")
    expect(page.locator("#chapter")).to_have_value("1")
    choose(page, "Edit")
    page.keyboard.press("Control+Home")
    page.keyboard.type(" ")
    expect(page.locator("#text")).to_have_value(" Two\n\nThe end.")
    page.keyboard.press("Escape")


def test_space_bar_pauses_after_a_click_and_what_is_moved_then_rests(
    visitor: Visitor, tmp_path: Path
) -> None:
    page = visitor.page
    (file := tmp_path / "b.md").write_text("".join(f"# {n}\n\n{' '.join(LONG)}\n\n" for n in "ABC"), "utf-8")
    give(page, file)
    expect(page.locator("#book-place")).to_have_text("Chapter 1 of 3 · 0%")
    page.click("#pause")
    visitor.wait_for_sound()
    page.get_by_role("button", name="Next chapter").click()
    page.wait_for_function(BEGUN)
    page.click("#forward")
    page.keyboard.press("Space")
    expect(page.locator("#status")).to_have_text("Paused")
    expect(page.locator("#chapter")).to_have_value("1")
    rested = page.evaluate("Number(waveform.ariaValueNow)")
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(f"() => waveform.ariaValueNow < {rested - 2}")
    expect(page.locator("#status")).to_have_text("Paused")
    page.get_by_role("button", name="Next chapter").click()
    expect(page.locator("#stop")).to_be_hidden()


def test_step_within_a_long_sentence_goes_to_the_next_one(visitor: Visitor, tmp_path: Path) -> None:
    page, book = visitor.page, tmp_path / "Long.md"
    book.write_text(f"# One\n\n{'and on and on, ' * 1000} it went. It ended here.", "utf-8")
    give(page, book)
    page.click("#pause")
    page.wait_for_function("() => document.querySelectorAll('#words .said').length > 3")
    page.locator("#waveform").click(position={"x": 0.6 * page.evaluate("waveform.clientWidth"), "y": 20})
    page.wait_for_function("() => words.firstChild.textContent.endsWith('it went. ')")


def test_click_beside_an_open_menu_only_closes_it(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    give(page, long_book(tmp_path, between=" "))
    for menu, choice in (("#book-menu", "#book-size"), ("#playback", "#tempo")):
        page.click(f"{menu} summary")
        page.select_option(choice, index=2)
        page.click("#words", position={"x": 60, "y": 90})
        expect(page.locator(choice)).to_be_hidden()
    # Nor does the strip above the first line lead to the editor.
    page.click("#words", position={"x": 60, "y": 2}, force=True)
    expect(page.locator("#words")).to_be_visible()
    assert not visitor.requests


def test_lock_screen_shows_the_chapter_and_turns_to_others(visit: Visit, tmp_path: Path) -> None:
    visitor = visit(ready=False)
    page = visitor.page
    page.add_init_script(MEDIA_KEYS)
    visitor.arrive()
    give(page, epub(tmp_path / "b.epub"))
    expect(page.locator("#text")).to_have_value(ONE)
    page.click("#pause")
    page.wait_for_function("() => navigator.mediaSession.metadata?.title === 'Uno'")
    shown = page.evaluate(
        "() => { const { album, artist } = navigator.mediaSession.metadata; return [album, artist]; }"
    )
    assert shown == ["La casa & el río", "Ana Ruiz, Bo Li"]
    page.wait_for_function("() => locks.some(({ released }) => !released)")
    artwork = page.evaluate("navigator.mediaSession.metadata.artwork[0].src")
    assert artwork.startswith("data:image/")
    # The page's policy lets it be loaded.
    loads = """(src) => new Promise((done) =>
        Object.assign(new Image(), { src, onload: () => done(true), onerror: () => done(false) }))"""
    assert page.evaluate(loads, artwork)
    page.evaluate("mediaKeys.nexttrack()")
    page.wait_for_function("() => navigator.mediaSession.metadata.title === 'Dos'")
    expect(page.locator("#chapter")).to_have_value("1")
    page.evaluate("mediaKeys.previoustrack()")
    page.wait_for_function("() => navigator.mediaSession.metadata.title === 'Uno'")
    page.click("#stop")
    page.wait_for_function("() => locks.every(({ released }) => released)")
    page.get_by_role("button", name="Close the book").click()
    visitor.begin("Something that is no chapter of any book, but long enough to be heard for a while.", "en")
    page.wait_for_function("() => navigator.mediaSession.metadata.album === ''")
    assert page.evaluate("mediaKeys.nexttrack") is None


def test_what_was_heard_of_a_book_is_folded_away_in_its_entry(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    visitor.say("Before the book.", "en")
    give(page, epub(tmp_path / "b.epub"))
    expect(page.locator("#text")).to_have_value(ONE)
    visitor.choose("#language", "")
    for _ in range(2):
        page.click("#pause")
        visitor.wait_for_sound()
        page.get_by_role("button", name="Next chapter").click()
        visitor.wait_for_sound()
        page.click("#stop")
        page.get_by_role("button", name="Previous chapter").click()
    rows, heard = page.locator("#history > li"), page.locator("#history > li li")
    expect(rows).to_have_count(2)
    expect(rows.first.locator("> .excerpt")).to_have_text("La casa & el río, Ana Ruiz, Bo Li")
    expect(rows.first.locator("> .actions button").first).to_have_text("Open")
    expect(heard.first).to_be_hidden()
    count = heard.count()
    assert count >= 4
    page.click("#history summary")
    expect(heard.first).to_be_visible()
    # With the book goes what was heard of it, and all of that comes back.
    rows.first.locator("> .actions button", has_text="Delete").click()
    expect(rows).to_have_count(1)
    page.click("#toast-undo")
    expect(rows).to_have_count(2)
    expect(heard).to_have_count(count)
    page.click("#history summary")
    heard.first.locator("button", has_text="Delete").click()
    expect(heard).to_have_count(count - 1)


@pytest.mark.parametrize(("width", "height"), [(360, 640), (640, 360)])
def test_phone_with_a_book_that_rests_shows_its_chapter_and_the_button(
    visit: Visit, tmp_path: Path, width: int, height: int
) -> None:
    page = visit(viewport={"width": width, "height": height}, has_touch=True).page
    give(page, epub(tmp_path / "b.epub"))
    expect(page.locator("#text")).to_have_value(ONE)
    for part in ("#book-open h3", "#pause"):
        expect(page.locator(part)).to_be_in_viewport(ratio=1)
    chapter, words = (page.locator(part).bounding_box() for part in ("#chapter", "#words"))
    assert chapter and words and chapter["width"] >= 150 and words["height"] >= 90


def test_audiobook_is_made_and_saved(page: Page, tmp_path: Path) -> None:
    give(page, epub(tmp_path / "b.epub"))
    with page.expect_download() as saving:
        choose(page, "Audiobook")
    assert saving.value.suggested_filename == "La casa & el río.m4b"
    with av.open(BytesIO(saving.value.path().read_bytes())) as file:
        assert [mark["metadata"]["title"] for mark in file.chapters()] == ["Uno", "Dos", "Tres"]
    expect(page.locator("#book-state")).to_have_text("The audiobook is saved.")
    expect(page.locator("#book-open progress")).to_be_hidden()


def test_audiobook_goes_on_after_a_stop_another_book_and_a_reload(visitor: Visitor, tmp_path: Path) -> None:
    page, state = visitor.page, visitor.page.locator("#book-state")
    visitor.network_may_fail = True  # the browser's own words about a request that a reload ends
    # Any other voice than the language's own.
    page.click(VOICE)
    give(page, long_book(tmp_path))
    asked = list[str]()
    page.on("request", lambda request: asked.append(request.url) if "/books/audio?" in request.url else None)
    choose(page, "Audiobook")
    expect(state).to_contain_text("Audiobook: ")
    page.wait_for_function("() => document.querySelector('#book-open progress').value > 0")
    page.get_by_role("button", name="Cancel").click()
    expect(state).to_contain_text("Stopped at ")
    expect(page.locator("#chapter")).to_be_focused()
    stopped = int(state.inner_text().split("%")[0].split()[-1])
    choose(page, "Audiobook")
    expect(state).to_contain_text("Audiobook: ")
    assert int(state.inner_text().split("%")[0].split()[-1]) >= stopped
    give(page, epub(tmp_path / "b.epub"))
    expect(state).to_contain_text("Long · Audiobook: ")
    with page.expect_download() as saving:
        reload(visitor)
    assert saving.value.suggested_filename == "Long.m4b"
    page.wait_for_function("() => sessionStorage.getItem('kani.making') === ''")
    assert len(asked) == 3 and len(set(asked)) == 1 and "voice=" in asked[0]


def test_closed_book_leaves_no_words_and_its_audiobook_can_go_on(visitor: Visitor, tmp_path: Path) -> None:
    page = visitor.page
    give(page, long_book(tmp_path))
    choose(page, "Audiobook")
    expect(page.locator("#book-state")).to_contain_text("Audiobook: ")
    page.click("#pause")
    visitor.wait_for_sound()
    page.get_by_role("button", name="Close the book").click()
    for left in ("#words", "#edit", "#stage", "#book-open"):
        expect(page.locator(left)).to_be_hidden()
    expect(page.locator("#toast-text")).to_have_text("Book closed. The audiobook was stopped.")
    with page.expect_download():
        page.click("#toast-undo")
        visitor.wait_for_sound()
        expect(page.locator("#words")).to_contain_text(LONG[0])


SHAPE = """["#words", "#stage", "#pause", "#forward", "#waveform", "#playback", "#book-menu"].map((name) => {
  const { left, top, width, height } = document.querySelector(name).getBoundingClientRect();
  return [left, top, width, height].map(Math.round);
})"""
"""Where the parts of a book and its player are."""


@pytest.mark.parametrize("size", [(1280, 800), (390, 844), (360, 640)])
def test_book_has_the_same_shape_before_it_is_read_meanwhile_and_after(
    visit: Visit, tmp_path: Path, size: tuple[int, int]
) -> None:
    page = visit(viewport={"width": size[0], "height": size[1]}, has_touch=size[0] < 700).page
    give(page, long_book(tmp_path))
    expect(page.locator("#pause")).to_have_accessible_name("Speak")
    rests = page.evaluate(SHAPE)
    (_, top, _, height), (_, player, *_), *_ = rests
    # Whole lines down to the player, which has the one button that reads.
    line = page.evaluate("parseFloat(getComputedStyle(words).lineHeight)")
    lines = (height - 12) / line
    assert 0 <= player - top - height < 60 and abs(lines - round(lines)) < 0.05 and height > 0.45 * size[1]
    expect(page.locator("#speak")).to_be_hidden()
    page.keyboard.press("Space")
    page.wait_for_selector("#words .now")
    assert page.evaluate(SHAPE) == rests
    page.click("#stop")
    assert page.evaluate(SHAPE) == rests
