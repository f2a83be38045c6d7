"""A recording and the text that its user has: the words' times are found, and nothing is recognised."""

from pathlib import Path

from playwright.sync_api import Route, expect

from tests.page.conftest import READ_ALOUD, Visit
from tests.page.listening.test_page_transcript import rows

OTHER = "Seven grey horses."


def test_given_text_has_the_times_of_its_words(visit: Visit, recording: Path, tmp_path: Path) -> None:
    visitor = visit()
    page = visitor.page
    page.click("#tab-listen")
    page.click("text=I have the text")
    page.fill("#listen-given", READ_ALOUD)
    page.wait_for_selector("#listen:enabled")
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen-results")).to_be_visible()
    assert " ".join(text for _, text in rows(page)) == READ_ALOUD
    assert page.locator("#listen-problem").inner_text() == ""
    page.click("#listen-files summary")
    with page.expect_download() as saved:
        page.click("#listen-srt")
    subtitles = Path(saved.value.path()).read_text("utf-8")
    assert subtitles.startswith("1\n00:00:00,") and READ_ALOUD.split()[0] in subtitles
    # Another text is said to hardly fit.
    words = [{"word": word, "start": n, "end": n + 0.5} for n, word in enumerate(OTHER.split())]
    answer = {"words": words, "confidence": 0.2}
    page.route("**/v1/audio/alignments", lambda route: route.fulfill(json=answer))
    # It was for that file only.
    expect(page.locator("#listen-given")).to_be_hidden()
    page.click("text=I have the text")
    page.fill("#listen-given", OTHER)
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen-problem")).to_contain_text("The text hardly fits this recording")
    assert " ".join(text for _, text in rows(page)) == OTHER
    expect(page.locator("#listen-rest")).to_be_hidden()


def test_a_file_without_a_text_takes_none_when_it_is_brought_back(visit: Visit, recording: Path) -> None:
    visitor = visit()
    visitor.network_may_fail = True
    page = visitor.page
    asked: list[Route] = []
    page.route("**/v1/audio/*", lambda route: asked.append(route))
    page.click("#tab-listen")
    page.wait_for_selector("#listen:enabled")
    page.set_input_files("#listen-file", recording)
    expect(page.locator("#listen-progress")).to_be_visible()
    # For the next one.
    page.click("text=I have the text")
    page.fill("#listen-given", OTHER)
    page.click("#listen")
    with page.expect_request("**/v1/audio/*") as again:
        page.click("#toast-undo")
    assert again.value.url.endswith("/transcriptions")
