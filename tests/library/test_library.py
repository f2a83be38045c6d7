"""The library: ``from kani import Speech, Recognizer``, as docs/library.md shows it."""

import asyncio
import base64
import io
import multiprocessing
import os
import re
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import kani
from kani.composition.settings import fields
from kani.core.errors import SpeechCancelled
from kani.core.subtitles import Cue
from kani.core.types import Samples, Span
from kani.library import asynchronous
from kani.library.asynchronous import settings_of
from kani.library.results import MAX_SHOWN_S, Audio, Transcript, Turn, Word
from kani.library.sounds import mono
from tests.conftest import ROOT
from tests.runtime.recognition.slow_recognizer import SlowRecognizer, words
from tests.support.patience import WITHIN_S
from tests.support.programs import python
from websocket_config import VERSION

PAGE = ROOT / "docs" / "library.md"
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def test_all_names_are_there_and_no_other() -> None:
    assert [name for name in kani.__all__ if not hasattr(kani, name)] == []
    typed = re.findall(r"^    from \S+ import (\w+) as", Path(kani.__file__).read_text("utf-8"), re.MULTILINE)
    assert {*kani.__all__} == {*typed}
    with pytest.raises(AttributeError, match="'kani' has no attribute 'Nothing'"):
        _ = kani.Nothing  # type: ignore[attr-defined]


def test_names_are_listed_and_the_version_is_the_programs() -> None:
    assert {*kani.__all__, "__version__", "__name__"} <= {*dir(kani)}
    assert kani.__version__ == VERSION


def test_blocking_classes_have_all_methods_of_their_twins() -> None:
    for blocking, twin in ((kani.Speech, kani.AsyncSpeech), (kani.Recognizer, kani.AsyncRecognizer)):
        methods = {name for name in vars(twin) if not name.startswith("_")}
        assert methods and methods <= {*vars(blocking)}
    assert {name for name in vars(kani.AsyncConversation) if not name.startswith("_")} == {"talk"}


def test_import_loads_nothing_and_the_library_no_server() -> None:
    code = (
        "import sys, kani\n"
        "assert not {'numpy', 'pydantic', 'asyncio'} & set(sys.modules), 'import kani loads'\n"
        "kani.Speech, kani.Recognizer\n"
        "loaded = [name for name in sys.modules if name.split('.')[0] in ('uvicorn', 'starlette')]\n"
        "loaded += [name for name in sys.modules if name.startswith('kani.protocols')]\n"
        "assert not loaded, loaded\n"
    )
    python("-c", code)


def test_words_have_their_times(speech: kani.Speech) -> None:
    audio = speech.say("Hola, ¿qué tal?", language="es")
    assert [word.text for word in audio.words] == ["Hola,", "¿qué", "tal?"]
    times = [time for word in audio.words for time in (word.start_s, word.end_s)]
    assert times == sorted(times) and times[0] == 0.0
    assert times[-1] == pytest.approx(audio.duration_s, abs=0.2)
    assert audio.voice == "espeak:es" and np.abs(audio.samples).max() > 0.1
    audio = speech.say("今日は良い天気です。", language="ja")
    assert "".join(word.text for word in audio.words).removesuffix("。") == "今日は良い天気です"
    silence = speech.say("…")
    assert silence.words == () and not silence.samples.any()


def test_marks_that_have_a_span_of_their_own_belong_to_their_word() -> None:
    spans = (Span(0, 1, 0.0, 0.3), Span(1, 4, 0.3, 0.6), Span(4, 5, 0.6, 0.9))
    audio = Audio(np.zeros(900, np.float32), 1000, "¿Qué?", spans, "a")
    assert audio.words == (Word("¿Qué?", 0.3, 0.6),)


@pytest.mark.parametrize("parts", ["今日|です。", "བོད་|སྐད།", "ខ្ញុំ|ខ្មែរ។"])
def test_span_of_a_script_without_spaces_is_a_word(parts: str) -> None:
    text, middle = parts.replace("|", ""), parts.index("|")
    audio = Audio(np.zeros(9), 9, text, (Span(0, middle, 0, 0), Span(middle, len(text), 0, 0)), "a")
    assert [word.text for word in audio.words] == parts.split("|")


def test_stream_begins_before_its_text_ends(speech: kani.Speech) -> None:
    heard = threading.Event()

    def written() -> Iterator[str | None]:
        yield None
        yield "This sentence is complete, and long enough to be spoken. "
        yield "The next one comes "
        assert heard.wait(WITHIN_S), "nothing was spoken before the text was complete"
        yield "later."

    seconds = 0.0
    for chunk in speech.stream(written(), language="en"):
        heard.set()
        seconds += chunk.duration_s
    assert seconds > 2


def unfinished() -> Iterator[str]:
    yield "Una frase que no se escucha hasta el final. " * 20
    threading.Event().wait()


def test_stream_that_is_left_ends(speech: kani.Speech) -> None:
    for _ in range(3):
        for _ in speech.stream(unfinished(), language="es"):
            break
    assert speech.say("Sí.", language="es").duration_s > 0.1


async def test_end_of_a_recognizer_reaches_who_listens() -> None:
    async def microphone() -> AsyncIterator[Samples]:
        heard.set()
        await asyncio.Event().wait()
        yield np.zeros(0, np.float32)

    heard, recognizer = asyncio.Event(), kani.AsyncRecognizer()
    async with recognizer:
        words = asyncio.ensure_future(anext(recognizer.listen(microphone(), 16_000)))
        await heard.wait()
    with pytest.raises(SpeechCancelled):
        await words


async def test_turn_ends_with_its_last_word_without_more_audio(monkeypatch: pytest.MonkeyPatch) -> None:
    async def microphone() -> AsyncIterator[Samples]:
        spoken = np.concatenate([words(1, 3), np.zeros(5 * 16_000, np.float32)])
        yield spoken
        await slow.hears(len(spoken) / 16_000)
        slow.decide.set()
        await asyncio.Event().wait()

    slow = SlowRecognizer()
    monkeypatch.setattr(asynchronous, "build_own_recognizer", lambda _: slow)
    async with kani.AsyncRecognizer() as recognizer, asyncio.timeout(WITHIN_S):
        heard = [text async for text in recognizer.hear(microphone(), 16_000)]
    assert heard == ["w1", "w1 w2", "w1 w2 w3"]


def test_samples_are_those_of_one_channel() -> None:
    column = np.array([[2**30], [-(2**31)]], np.int32)
    for given in (np.array([0.5, -1.0]), np.array([16_384, -32_768], np.int16), column):
        assert mono(given).tolist() == [0.5, -1.0]
    for refused in (np.zeros((9, 2)), b"\0\0"):
        with pytest.raises(kani.InvalidRequest, match="of one channel"):
            mono(np.asarray(refused))


def test_error_of_the_text_reaches_the_caller(speech: kani.Speech) -> None:
    def broken() -> Iterator[str]:
        yield "This much was written. "
        raise LookupError("the model is gone")

    with pytest.raises(LookupError, match="the model is gone"):
        list(speech.stream(broken(), language="en"))
    assert speech.say("Yes.", language="en").duration_s > 0.1


def test_speech_that_is_not_open_says_how_to_open_it() -> None:
    closed = kani.Speech("espeak")
    with pytest.raises(RuntimeError, match=r"Speech is not open in this process: use it inside `with Speech"):
        closed.say("Hola")
    with closed as speech:
        half_read = speech.stream(unfinished(), language="es")
        assert next(half_read).duration_s > 0.1
        forked = multiprocessing.get_context("fork").Process(target=speech.say, args=("Hola",))
        forked.start()
        forked.join(WITHIN_S)
        assert forked.exitcode == 1
    with pytest.raises(RuntimeError, match="Speech is not open"):
        closed.stream("Hola")
    with pytest.raises(RuntimeError, match="`with` of this stream has ended"):
        next(half_read)


@pytest.mark.parametrize(
    ("language", "voice"),
    [("spanish", "espeak:es"), ("Español", "espeak:es"), ("spa", "espeak:es"), ("es_MX", "espeak:es-419")],
)
def test_language_is_a_tag_a_code_or_a_name(speech: kani.Speech, language: str, voice: str) -> None:
    assert speech.say("Hola.", language=language).voice == voice
    assert sum(chunk.duration_s for chunk in speech.stream("Hola.", language=language)) > 0.1


SILENCE = np.zeros(4_000, np.float32)
WRONG_SPEECH = {
    "text": ({"text": None}, {"text": 5}, {"text": b"Hola"}),
    "voice": ({"voice": 5},),
    "language": ({"language": 5}, {"language": "klingonish"}),
    "speed": ({"speed": "1"}, {"speed": True}, {"speed": float("nan")}, {"speed": 0.2}),
    "emotion": ({"emotion": 5},),
}


@pytest.mark.parametrize(
    ("field", "given"), [(name, one) for name in WRONG_SPEECH for one in WRONG_SPEECH[name]]
)
def test_wrong_argument_of_speech_is_named(speech: kani.Speech, field: str, given: dict[str, Any]) -> None:
    for method in (speech.say, lambda **rest: list(speech.stream(**rest))):
        with pytest.raises(kani.InvalidRequest) as refused:
            method(**{"text": "Hola", **given})
        assert refused.value.field == field
        assert "between 0.25 and 4" in str(refused.value) or field != "speed"


def test_wrong_recording_and_wrong_part_of_a_text_are_named(speech: kani.Speech) -> None:
    for given in (5, (SILENCE,), (SILENCE, 16_000, 1)):
        with pytest.raises(kani.InvalidRequest, match="reference: must be the name of an audio file"):
            speech.say("Hola", reference=given)  # type: ignore[arg-type]
    with pytest.raises(kani.InvalidRequest, match=r"sample_rate: .* of hertz between 4000 and 192000"):
        speech.say("Hola", reference=(SILENCE, 0))
    for parts in (["Hola", 5], b"Hola"):
        with pytest.raises(kani.InvalidRequest, match="text: must be a text, not int"):
            list(speech.stream(parts, language="es"))  # type: ignore[arg-type]
    assert speech.say("Sí.", language="es", speed=np.float32(1)).duration_s > 0.1


@pytest.mark.parametrize(
    ("sound", "rest", "message"),
    [
        (None, {}, "sound: must be the name of an audio file, its bytes"),
        ((SILENCE,), {}, "sound: must be the name of an audio file, its bytes"),
        *(((SILENCE, rate), {}, "sample_rate: must be a whole") for rate in (0, 16, -1, 8000.5, 200_000)),
        ((SILENCE, "16000"), {}, "sample_rate: must be .* between 4000 and 192000, not str"),
        ((SILENCE, 16_000), {"prompt": 5}, "prompt: must be a text, not int"),
        ((SILENCE, 16_000), {"language": 5}, "language: must be a text, not int"),
        *(((SILENCE, 16_000), {"speakers": wrong}, "speakers: .* 1 and 32") for wrong in (0, 33, 2.5, "2")),
    ],
)
def test_wrong_argument_of_a_transcription_is_named(sound: Any, rest: dict[str, Any], message: str) -> None:
    with kani.Recognizer() as recognizer, pytest.raises(kani.InvalidRequest, match=message):
        recognizer.transcribe(sound, **rest)


@pytest.mark.parametrize("method", ["listen", "hear"])
def test_wrong_argument_of_what_listens_is_named(method: str) -> None:
    with kani.Recognizer() as recognizer:
        for rate in (0, 7, -3, 3_999, 96_001, 16_000.5, "16000", None, float("nan")):
            with pytest.raises(kani.InvalidRequest, match=r"sample_rate: .* between 4000 and 96000"):
                list(getattr(recognizer, method)([SILENCE], rate))
        for audio, rest, message in (
            (None, {}, "audio: must be an iterable, not NoneType"),
            ([SILENCE], {"prompt": None}, "prompt: must be a text"),
            ([SILENCE], {"language": 5}, "language: must be a text"),
        ):
            with pytest.raises(kani.InvalidRequest, match=message):
                list(getattr(recognizer, method)(audio, 44_100.0, **rest))


@pytest.mark.parametrize("setting", ["lexicon", "models_dir"])
def test_setting_without_its_file_is_named_as_it_was_given(setting: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"^{setting} \(KANI_{setting.upper()}\): there is no "):
        kani.Speech("espeak", **{setting: str(tmp_path / "x")})


@pytest.mark.parametrize("setting", [name for name in fields() if name not in ("engine", "recognizer")])
def test_setting_of_no_fitting_type_is_named(setting: str) -> None:
    with pytest.raises(ValueError, match=rf"\b{setting}\b.*\b(has to be|is no)\b"):
        settings_of(engine="espeak", **{setting: object()})


def test_audio_is_a_player_in_a_notebook_and_short_where_it_is_printed(speech: kani.Speech) -> None:
    audio = speech.say('Dos < tres & "cuatro".', language="es")
    shown = audio._repr_html_()
    title, data = re.findall(
        r'^<audio controls title="(.*?)" src="data:audio/mpeg;base64,(.*?)"></audio>$', shown
    )[0]
    assert title == "Dos &lt; tres &amp; &quot;cuatro&quot;."
    with av.open(io.BytesIO(base64.b64decode(data, validate=True))) as opened:
        seconds = sum(frame.samples for frame in opened.decode(audio=0)) / audio.sample_rate
    assert seconds == pytest.approx(audio.duration_s, abs=0.1)
    assert len(repr(audio)) < 100
    nothing = speech.say("")._repr_html_()
    assert nothing.startswith("<audio controls")


def test_player_of_a_notebook_is_bounded() -> None:
    longest, longer = (
        Audio(np.zeros(round(24_000 * seconds), np.float32), 24_000, "<b>" * 999, (), "a")
        for seconds in (MAX_SHOWN_S, MAX_SHOWN_S + 1)
    )
    assert 2_000_000 < len(longest._repr_html_()) < 4_200_000
    shown = longer._repr_html_()
    assert "(181 s of speech: save it to play it)" in shown and "<b>" not in shown and len(shown) < 2_000


def test_errors_name_the_field(speech: kani.Speech) -> None:
    with pytest.raises(kani.InvalidRequest, match="speed"):
        speech.say("Hola", speed=9.0)
    with pytest.raises(kani.UnknownVoice, match="nobody"):
        speech.say("Hola", voice="nobody")
    with pytest.raises(ValueError, match="thread is no setting of this server; did you mean threads"):
        kani.Speech(thread=2)
    with pytest.raises(ValueError, match=r"^engine=.nothing"):
        kani.Speech("nothing")
    with pytest.raises(ValueError, match="has to end with one of"):
        speech.say("Sí.", language="es").save(Path("speech.doc"))
    with kani.Recognizer() as recognizer:
        with pytest.raises(kani.InvalidRequest, match="file: is empty"):
            recognizer.transcribe(b"", speakers=32)


@pytest.mark.parametrize("ending", [".wav", ".mp3", ".flac", ".opus", ".ogg", ".aac"])
def test_files_hold_the_speech(speech: kani.Speech, tmp_path: Path, ending: str) -> None:
    audio = speech.say("Buenos días.", language="es")
    audio.save(tmp_path / f"speech{ending}")
    with av.open(str(tmp_path / f"speech{ending}")) as opened:
        (stream,) = opened.streams.audio
        assert opened.format.name == {".opus": "ogg"}.get(ending, ending[1:])
        seconds = sum(frame.samples for frame in opened.decode(stream)) / stream.rate
    assert seconds == pytest.approx(audio.duration_s, abs=0.1)


def test_transcript_is_kept_as_text_and_as_subtitles(tmp_path: Path) -> None:
    turns = (Turn("A", "Hi & bye.", 0.5, 2.0), Turn("B", "Oh!", 2.0, 3.25))
    cues = tuple(Cue(turn.start_s, turn.end_s, (f"{turn.speaker}: {turn.text}",)) for turn in turns)
    transcript = Transcript("Hi & bye. Oh!", (), "en", 4.0, turns, cues)
    first, second = "00:00:00,500 --> 00:00:02,000\nA: Hi & bye.", "00:00:02,000 --> 00:00:03,250\nB: Oh!\n"
    for name, kept in (
        ("a.txt", "A: Hi & bye.\nB: Oh!\n"),
        ("a.SRT", f"1\n{first}\n\n2\n{second}\n"),
        ("a.vtt", "WEBVTT\n\n00:00:00.500 --> 00:00:02.000\nA: Hi &amp; bye.\n\n"),
    ):
        transcript.save(tmp_path / name)
        assert (tmp_path / name).read_text("utf-8").startswith(kept)
    assert str(replace(transcript, turns=())) == "Hi & bye. Oh!"
    with pytest.raises(ValueError, match=r"a\.doc: the name has to end with one of \.txt, \.srt, \.vtt"):
        transcript.save(tmp_path / "a.doc")


async def test_several_speak_at_once_with_asyncio() -> None:
    async with kani.AsyncSpeech("espeak") as speech:

        async def written() -> AsyncIterator[str]:
            yield "Good "
            yield "morning."

        async def streamed() -> float:
            return sum([chunk.duration_s async for chunk in speech.stream(written(), language="en")])

        seconds, audio = await asyncio.gather(streamed(), speech.say("Good morning.", language="en"))
    assert seconds == pytest.approx(audio.duration_s)


@pytest.fixture(scope="module")
def recording() -> bytes:
    with kani.Speech() as speech:
        return speech.say("The birds are singing in the garden this morning.").to_wav()


@pytest.mark.heard
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.splitlines()[-1][:40])
def test_examples_of_the_page_run(example: str, recording: bytes, tmp_path: Path) -> None:
    (tmp_path / "recording.wav").write_bytes(recording)
    done = python("-c", example, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    if "transcribe" in example or "listen" in example:
        assert "singing" in done.stdout and "garden" in done.stdout


@pytest.mark.heard
def test_one_turn_is_heard_to_its_end_and_no_further() -> None:
    with kani.Speech() as speech:
        first, second = (speech.say(text) for text in ("The birds are singing in the garden.", "Good night."))
    silence = np.zeros(2 * first.sample_rate, np.float32)
    spoken = np.concatenate([first.samples, silence, second.samples, silence])
    with kani.Recognizer() as recognizer:
        texts = list(recognizer.hear(np.split(spoken, range(1_920, len(spoken), 1_920)), first.sample_rate))
    assert len(texts) > 2 and re.search(r"birds .* garden", texts[-1]) and "night" not in texts[-1]
