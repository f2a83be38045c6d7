"""Nothing is lost: whatever is done in whatever state, what was there is still there, or one undo away.

That is speech in the history, a transcript or a conversation that is shown or there, and what was typed.
"""

from __future__ import annotations

import json
import wave
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from anyio.from_thread import start_blocking_portal
from playwright.sync_api import expect

from tests.conftest import ServerProcess, StartServer, server_process
from tests.page.conftest import Visit, microphone_file
from tests.page.listening.answers import ENGLISH, events, transcribe
from tests.page.losses import acts
from tests.page.losses.acts import Stage
from tests.support.chat.endpoint import Answer, ChatEndpoint, SpeakingModel, chat_endpoint

SAID = "The birds are singing in the garden this morning."
BEFORE = "Something before."
TYPED = "One small step, one giant leap."
LONG = " ".join([TYPED, "The quick brown fox jumps over the lazy dog."] * 9)
ASKED = "What is on your mind?"
ANSWERED = "Here is the first"
WORDS = "Good morning, Mr. Brown!"
"""The first words of ``ENGLISH``."""
SILENCE_S = 2
TIMES = 8
"""How often a recording is repeated that is still worked on when the act comes."""


@pytest.fixture(scope="module")
def model() -> SpeakingModel:
    refusal = Answer(status=500, error={"error": {"message": "out of memory"}})
    return SpeakingModel(f"{ANSWERED} of my many thoughts. " * 12, refusal)


@pytest.fixture(scope="module")
def endpoint(model: SpeakingModel) -> Iterator[ChatEndpoint]:
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(chat_endpoint(model)) as served:
        yield served


@pytest.fixture(scope="module")
def shared(endpoint: ChatEndpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """The server of all acts that leave it alone."""
    folder = tmp_path_factory.mktemp("server")
    with server_process(folder, "--engine", "espeak", "--llm", endpoint.url) as running:
        yield running


@pytest.fixture(scope="session")
def recording(espeak_server: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the microphone hears."""
    folder = tmp_path_factory.mktemp("recording")
    return microphone_file(espeak_server.http_url, folder, SAID, SILENCE_S, "alloy")


@pytest.fixture(scope="module")
def long_recording(recording: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.wav"
    with wave.open(str(recording)) as file:
        parameters, frames = file.getparams(), file.readframes(file.getnframes())
    with wave.open(str(path), "wb") as file:
        file.setparams(parameters)
        file.writeframes(frames * TIMES)
    return path


# States: each leaves the page in one, and returns what somebody has then and where it may be.


Work = tuple[str, str]
"""Some words, and a selector of the places where they may be."""
State = Callable[[Stage, Path], Work]

SPEECH = "#history .excerpt"
TRANSCRIPT = "#transcript, #history .excerpt"
CONVERSATION = ".talk-lines, #history .excerpt"


def typed(stage: Stage, file: Path) -> Work:
    stage.visitor.say(BEFORE, "en")
    stage.page.fill("#text", TYPED)
    return TYPED, "#text, #history .excerpt"


def refused(stage: Stage, file: Path) -> Work:
    stage.visitor.speak(f"{TYPED} [voice:nobody] Hello.")
    expect(stage.page.locator("#problem")).not_to_be_empty()
    return TYPED, "#text, #history .excerpt"


def speaking(stage: Stage, file: Path) -> Work:
    stage.visitor.say(BEFORE, "en")
    stage.visitor.speak(LONG, "en")
    stage.page.wait_for_function("() => document.querySelectorAll('#words .said').length > 12")
    return TYPED, SPEECH


def paused(stage: Stage, file: Path) -> Work:
    work = speaking(stage, file)
    stage.page.click("#pause")
    expect(stage.page.locator("#pause")).to_have_attribute("data-act", "resume")
    return work


def spoken(stage: Stage, file: Path) -> Work:
    stage.visitor.say(BEFORE, "en")
    stage.visitor.say(TYPED, "en")
    expect(stage.page.locator("#history li")).to_have_count(2)
    return TYPED, SPEECH


def listen(stage: Stage) -> None:
    stage.page.click("#tab-listen")
    stage.visitor.wait_for("#listen:enabled")


def recording_it(stage: Stage, file: Path) -> Work:
    listen(stage)
    stage.page.click("#listen")
    return heard(stage, "recording")


def transcribing(stage: Stage, file: Path) -> Work:
    listen(stage)
    stage.page.set_input_files("#listen-file", file)
    return heard(stage, "transcribing")


def heard(stage: Stage, state: str) -> Work:
    """Wait until some words are shown, in a state that goes on; those words."""
    stage.page.wait_for_function("() => document.querySelectorAll('#transcript span').length > 2")
    expect(stage.page.locator("#listen-drop")).to_have_attribute("data-state", state)
    words = stage.page.inner_text("#transcript p >> nth=0")[:10]
    # The last second may be lost with the page.
    expect(stage.page.locator("#history .excerpt").first).to_contain_text(words)
    return words, TRANSCRIPT


def transcribed(stage: Stage, file: Path) -> Work:
    transcribe(stage.visitor, file, events(ENGLISH))
    return WORDS, TRANSCRIPT


def broken_off(stage: Stage, file: Path) -> Work:
    """Some sentences came, then an error."""
    error = {"error": {"message": "out of memory", "code": "server_error"}}
    body = f"{events(ENGLISH)}data: {json.dumps(error)}\n\n"
    page = transcribe(stage.visitor, file, body)
    expect(page.locator("#listen-drop")).to_have_attribute("data-state", "failed")
    return WORDS, TRANSCRIPT


def talk(stage: Stage) -> None:
    stage.model.refuses = False
    stage.page.click("#tab-talk")
    # The microphone repeats itself, and would interrupt the answers.
    stage.visitor.wait_for("#talk-text:visible")
    stage.visitor.choose("#talk-mode", "hold")
    stage.page.fill("#talk-text", ASKED)


def not_sent(stage: Stage, file: Path) -> Work:
    talk(stage)
    return ASKED, "#talk-text"


def answering(stage: Stage, file: Path) -> Work:
    talk(stage)
    stage.page.press("#talk-text", "Enter")
    stage.page.wait_for_function("() => document.querySelectorAll('.answer .said').length > 5")
    stage.page.wait_for_function(IS_KEPT, arg=ANSWERED)  # within a second
    return f"{ASKED} Answer: {ANSWERED}", CONVERSATION


def ended(stage: Stage, file: Path) -> Work:
    work = answering(stage, file)
    acts.end(stage)
    return work


ALWAYS = "reload crash lose_the_server switch_tabs"
FILES = f"{ALWAYS} press_the_round_button press_it_twice choose_wrong_file transcribe_another delete_all"
WAYS: dict[State, str] = {
    typed: f"{ALWAYS} open_a_link open_a_book open_a_book_and_close_it_after_a_reload "
    "open_a_book_and_close_it_after_a_crash open_what_is_no_book use_an_older_text",
    refused: "reload crash",
    speaking: f"{ALWAYS} lose_the_server_and_reload speak_again speak_another_text stop take_another_voice "
    "take_an_emotion open_a_link open_a_book",
    paused: "reload crash take_another_voice choose_a_language",
    spoken: "crash delete_the_latest delete_all take_another_voice use_an_older_text",
    recording_it: FILES,
    transcribing: FILES,
    transcribed: f"{ALWAYS} choose_wrong_file lose_the_server_and_reload transcribe_another cancel_another "
    "press_the_round_button press_it_twice clear delete_the_latest clear_and_delete empty_a_row",
    broken_off: "reload press_the_round_button choose_wrong_file",
    not_sent: "reload switch_tabs lose_the_server take_another_persona",
    answering: f"{ALWAYS} begin_anew go_on end stop_the_answer write_another delete_all "
    "write_when_the_model_is_gone take_another_persona take_another_voice",
    ended: "reload crash begin_anew go_on write_another delete_all",
}
"""Names of what is done in each state."""
ROWS = [
    pytest.param(state, name, id=f"{state.__name__}-{name}")
    for state, names in WAYS.items()
    for name in names.split()
]

IS_KEPT = """(what) => new Promise((resolve) => {
  indexedDB.open("kani").onsuccess = ({ target: { result: database } }) => {
    const asked = database.transaction("history").objectStore("history").getAll();
    asked.onsuccess = () => resolve(JSON.stringify(asked.result).includes(what));
  };
})"""
IS_THERE = """([words, places]) => [...document.querySelectorAll(places)].some((place) => {
  const text = place.value ?? place.textContent;
  return !place.hidden && text.replace(/\\s+/g, " ").includes(words);
})"""


def test_a_recording_that_breaks_off_is_heard_again(
    visit: Visit, shared: ServerProcess, model: SpeakingModel, recording: Path, tmp_path: Path
) -> None:
    stage = Stage(visit(shared, network_may_fail=True), shared, model, tmp_path)
    recording_it(stage, recording)
    # It is kept each time that it has grown by a quarter.
    stage.page.wait_for_function(IS_KEPT, arg='"kind":"sound"')
    acts.crash(stage)
    stage.page.click("#history li button >> nth=0")
    expect(stage.page.locator("#heard")).to_be_visible()


@pytest.mark.parametrize(("state", "act"), ROWS)
def test_nothing_is_lost(
    visit: Visit,
    shared: ServerProcess,
    endpoint: ChatEndpoint,
    model: SpeakingModel,
    start_server: StartServer,
    recording: Path,
    long_recording: Path,
    tmp_path: Path,
    state: State,
    act: str,
) -> None:
    ends = act in ("lose_the_server", "lose_the_server_and_reload")
    server = start_server("--engine", "espeak", "--llm", endpoint.url) if ends else shared
    stage = Stage(visit(server, network_may_fail=True), server, model, tmp_path)
    work = [*state(stage, long_recording if state is transcribing else recording)]
    getattr(acts, act)(stage)
    page = stage.page
    if state is not_sent:
        page.click("#tab-talk")
    undo = page.locator("#toast-undo")
    while True:
        page.wait_for_function(
            f"(work) => ({IS_THERE})(work) || !document.querySelector('#toast').hidden", arg=work
        )
        if page.evaluate(IS_THERE, work):
            break
        # One undo after the other.
        undo.click()


PUT = """async (entries) => {
    const { name } = performance.getEntriesByType("resource").find((one) => one.name.includes("history.js"));
    const { history } = await import(name);
    for (const entry of entries) await history.add({ time: 0, rows: [], seconds: 1, ...entry });
}"""


def test_what_cannot_be_made_again_is_the_last_to_go(visit: Visit) -> None:
    page, sound = visit().page, {"size": 9e7}
    shown, told = page.locator("#history .excerpt"), page.locator("#history-empty")
    own = {"id": "own", "choice": {"text": "Mine."}, "pcm": {"size": 1e7}}
    page.evaluate(PUT, [{"id": "heard", "kind": "transcript", "name": "", "recording": sound}, own])
    chapter = {"choice": {"text": "A chapter.", "chapter": True}, "pcm": sound}
    page.evaluate(PUT, [{**chapter, "id": str(n), "time": n} for n in range(9)])
    expect(shown).to_have_text(["A chapter.", "", "Mine."])
    expect(told).to_be_hidden()
    page.evaluate(PUT, [{**own, "id": id, "time": 99, "pcm": sound} for id in "ab"])
    expect(told).to_contain_text("There was no more room")
    expect(shown).to_have_text(["Mine.", "", "Mine."])
