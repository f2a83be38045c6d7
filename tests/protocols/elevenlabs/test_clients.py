"""ElevenLabs' own SDK, and the plugins of LiveKit and Pipecat, unmodified: what they receive."""

import base64
import wave
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import httpx2
import numpy as np
import pytest
from elevenlabs.client import ElevenLabs
from elevenlabs.core.api_error import ApiError
from elevenlabs.types import DialogueInput

from kani.core.audio.pcm import decode_recording, from_pcm16, wav
from kani.core.types import Samples
from tests.clients.elevenlabs.libraries import speak_with_livekit, speak_with_pipecat, speak_with_sdk
from tests.clients.elevenlabs.wire import Character, connect_client, split_tokens
from tests.clients.pipelines import Word
from tests.conftest import ServerProcess
from tests.library.recorded_texts import RATE, music
from tests.support.patience import WITHIN_S
from tests.support.programs import example

GEORGE = "JBFqnCBsd6RMkjVDRZzb"


@pytest.fixture
def sdk(espeak_server: ServerProcess) -> Iterator[ElevenLabs]:
    with httpx.Client(timeout=WITHIN_S) as client:
        yield ElevenLabs(api_key="k", base_url=espeak_server.http_url, httpx_client=client)


TIMED = "¡Hola! ¿Cómo estás, amiga? Son las 10:30 😀."


def test_sdk_lists_searches_and_previews_voices(sdk: ElevenLabs) -> None:
    voices = sdk.voices.get_all().voices
    by_id = {voice.voice_id: voice for voice in voices}
    arabic = by_id["espeak:ar"]
    assert (arabic.category, arabic.labels and arabic.labels["language"]) == ("premade", "ar")
    assert sdk.voices.get("espeak:ar") == arabic
    preview = httpx2.get(arabic.preview_url or "")
    assert (preview.status_code, preview.headers["content-type"]) == (200, "audio/mpeg")
    part = httpx2.get(arabic.preview_url or "", headers={"range": "bytes=100-"})
    assert (part.status_code, part.content) == (206, preview.content[100:])
    assert sdk.voices.get(GEORGE).name == "George" and sdk.voices.get(GEORGE).preview_url is None

    token: str | None = None
    seen = []
    while True:
        page = sdk.voices.search(page_size=30, next_page_token=token)
        seen += [voice.voice_id for voice in page.voices]
        assert page.total_count == len(voices)
        token = page.next_page_token
        if not page.has_more:
            break
    assert seen == list(by_id) and token is None
    found = sdk.voices.search(search="spanish").voices
    assert {voice.voice_id for voice in found} == {"espeak:es", "espeak:es-419"}


def test_sdk_reads_settings_models_and_user(sdk: ElevenLabs) -> None:
    assert sdk.voices.settings.get_default().speed == 1.0
    assert sdk.voices.settings.get(GEORGE) == sdk.voices.settings.get_default()
    models = {model.model_id: model for model in sdk.models.list()}
    flash = models["eleven_flash_v2_5"]
    assert flash.can_do_text_to_speech and flash.maximum_text_length_per_request == 40_000
    languages = {language.language_id: language.name for language in flash.languages or []}
    assert languages["es"] == "Spanish" and languages["ar"] == "Arabic"
    user = sdk.user.get()
    assert user.subscription == sdk.user.subscription.get() or user.subscription.tier == "local"
    assert user.subscription.character_limit - user.subscription.character_count > 40_000


def test_sdk_finds_an_empty_history(sdk: ElevenLabs) -> None:
    history = sdk.history.list(page_size=10, voice_id=GEORGE)
    assert (history.history, history.has_more) == ([], False)
    for call in (sdk.history.get, sdk.history.delete):
        with pytest.raises(ApiError) as refused:
            call("an_item")
        assert refused.value.status_code == 404
        assert "/v1/history/an_item is not served here" in str(refused.value.body)


def test_sdk_adds_lists_plays_speaks_and_deletes_voice(sdk: ElevenLabs) -> None:
    spoken = sdk.text_to_speech.convert("espeak:es", text=TIMED * 3, output_format="wav_24000")
    recording = b"".join(spoken)
    labels = {"consent": "Soy Ana, y se puede usar mi voz.", "language": "Spanish", "accent": "andaluz"}
    made = sdk.voices.ivc.create(name="My voice", files=[recording], description="warm", labels=labels)
    assert (made.voice_id, made.requires_verification) == ("custom:My_voice", False)

    listed = {voice.voice_id: voice for voice in sdk.voices.get_all().voices}[made.voice_id]
    assert (listed.name, listed.category, listed.description) == ("My_voice", "cloned", "warm")
    assert listed.is_owner and listed.labels == {"language": "es", "engine": "espeak"}
    assert [voice.voice_id for voice in sdk.voices.search(search="my voice").voices] == [made.voice_id]

    voice = sdk.voices.get(made.voice_id)
    assert voice.labels == {"language": "es", "engine": "espeak", "cloning": "none"}
    [sample] = voice.samples or []
    assert b"".join(sdk.voices.samples.audio.get(made.voice_id, sample.sample_id or "")) == recording
    spoken = sdk.text_to_speech.convert(made.voice_id, text="Hola.", output_format="pcm_8000")
    assert b"".join(spoken) == b"".join(
        sdk.text_to_speech.convert("My_voice", text="Hola.", output_format="pcm_8000")
    )
    assert sdk.voices.update(made.voice_id, name="Mine").voice_id == "custom:Mine"
    assert sdk.voices.delete("custom:Mine").status == "ok"
    with pytest.raises(ApiError) as refused:
        sdk.voices.delete("custom:Mine")
    assert (refused.value.status_code, refused.value.body["detail"]["status"]) == (404, "voice_not_found")


DIALOGUE = [
    DialogueInput(text="[laughs] Hola, amiga.", voice_id="espeak:es"),
    DialogueInput(text="Very well, thank you.", voice_id="espeak:en-us"),
]


def test_sdk_converts_and_streams_dialogue(sdk: ElevenLabs) -> None:
    calls = sdk.text_to_dialogue
    name: Any = "pcm_24000"
    whole = b"".join(calls.convert(inputs=DIALOGUE, output_format=name))
    assert b"".join(calls.stream(inputs=DIALOGUE, output_format=name, model_id="eleven_v3")) == whole
    told = calls.convert_with_timestamps(inputs=DIALOGUE, output_format=name)
    assert base64.b64decode(told.audio_base_64) == whole and told.alignment is not None
    assert "".join(told.alignment.characters) == "".join(line.text for line in DIALOGUE)
    assert [segment.voice_id for segment in told.voice_segments] == ["espeak:es", "espeak:en-us"]
    assert told.voice_segments[1].end_time_seconds == pytest.approx(len(whole) / 48000, abs=0.002)
    lines = list(calls.stream_with_timestamps(inputs=DIALOGUE, output_format=name))
    assert b"".join(base64.b64decode(line.audio_base_64) for line in lines) == whole
    assert {segment.dialogue_input_index for line in lines for segment in line.voice_segments} == {0, 1}


def run_client(server: ServerProcess, *arguments: str | Path, code: int = 0) -> str:
    return example("elevenlabs_client.py", "--server", server.http_url, *arguments, code=code)


def test_example_writes_speech_times_and_voices(espeak_server: ServerProcess, tmp_path: Path) -> None:
    file = tmp_path / "speech.audio.mp3"
    printed = run_client(espeak_server, TIMED, "-o", file)
    assert f"{file.stat().st_size} bytes" in printed
    plain_s = decode_recording(file.read_bytes()).duration_s
    printed = run_client(espeak_server, TIMED, "-o", file, "--times")
    assert "".join(line[12:] for line in printed.splitlines()) == TIMED
    assert decode_recording(file.read_bytes()).duration_s == plain_s > 2
    assert "espeak:es-419" in run_client(espeak_server, "--voices", "spanish")
    assert "voice_not_found" in run_client(espeak_server, TIMED, "-o", file, "--voice", "nobody", code=1)


TEXT = "Hola, esto es una prueba bastante larga. ¿Qué tal te encuentras hoy, amigo mío? Yo, muy bien."
FIGURES = "Hola, amigo: son 3.456 casas en 1.234.567 calles, o 21 por ciento. Adiós, amigo mío, hasta otra."
SHORT = "Adiós, amigos míos."
pytestmark = pytest.mark.filterwarnings(
    # The official library asks in a way that websockets does not like any more.
    "ignore:ConnectionClosed.(code|reason) is deprecated:DeprecationWarning"
)


async def characters(server: ServerProcess, text: str, rate: int) -> tuple[list[Character], Samples]:
    """Return absolute character times and the audio of a text that is sent word by word."""
    asked = {"sync_alignment": "true", "output_format": f"pcm_{rate}"}
    async with connect_client(server.url, **asked) as client:
        heard = await client.speak(*split_tokens(text))
    return heard.absolute(), heard.samples


def words_of(told: list[Character]) -> list[Word]:
    text = "".join(each.text for each in told)
    begins = [at for at, char in enumerate(text) if char != " " and (at == 0 or text[at - 1] == " ")]
    return [Word(text[at:].split(" ", 1)[0], told[at].start / 1000) for at in begins]


def assert_at_its_time(spoken: list[Word], truth: list[Word], within_s: float) -> None:
    assert [word.text for word in spoken] == [word.text for word in truth]
    for word, said in zip(spoken, truth, strict=True):
        assert word.start_s == pytest.approx(said.start_s, abs=within_s), word


async def test_sdk_receives_all_audio(espeak_server: ServerProcess) -> None:
    speak = partial(speak_with_sdk, espeak_server.http_url, "espeak:es", split_tokens(TEXT))
    _, samples = await characters(espeak_server, TEXT, 24_000)
    heard = await speak("pcm_24000")
    assert np.array_equal(heard.samples, samples)
    slow = await speak("pcm_24000", speed=0.8)
    assert len(slow.samples) > 1.15 * len(samples)
    coded = await speak("mp3_44100_128")
    duration_s = decode_recording(bytes(coded.audio)).duration_s
    assert duration_s == pytest.approx(len(samples) / 24_000, abs=0.06)


async def test_sdk_raises_error_frame(espeak_server: ServerProcess) -> None:
    with pytest.raises(ApiError) as caught:
        await speak_with_sdk(espeak_server.http_url, "nobody", split_tokens(TEXT), "pcm_24000")
    assert caught.value.status_code == 1008
    assert "A voice with voice_id nobody does not exist." in str(caught.value.body)


@pytest.mark.parametrize("options", [{}, {"chunk_length_schedule": [50, 100]}], ids=["", "schedule"])
async def test_livekit_receives_audio_and_word_times(espeak_server: ServerProcess, options: Any) -> None:
    truth, samples = await characters(espeak_server, SHORT, 22_050)
    texts = [TEXT, SHORT, SHORT]
    long, short, again = await speak_with_livekit(espeak_server.http_url, "espeak:es", texts, **options)
    assert_at_its_time(short.words, words_of(truth), 0.001)
    assert again == short and np.array_equal(short.samples, samples)
    assert [word.text for word in long.words] == TEXT.split(" ")


async def test_pipecat_receives_audio_and_word_times(espeak_server: ServerProcess) -> None:
    spoken = await speak_with_pipecat(espeak_server.url, "espeak:es", [TEXT, SHORT], tokens=True)
    for one, text in zip(spoken, (TEXT, SHORT), strict=True):
        truth, samples = await characters(espeak_server, text, 24_000)
        assert one.errors == [] and np.array_equal(one.samples, samples)
        assert_at_its_time(one.words, words_of(truth), 0.001)


async def test_pipecat_by_sentences_receives_audio_and_word_times(espeak_server: ServerProcess) -> None:
    (spoken,) = await speak_with_pipecat(espeak_server.url, "espeak:es", [TEXT])
    assert [word.text for word in spoken.words] == TEXT.split(" ") and not spoken.errors
    starts = [word.start_s for word in spoken.words]
    assert starts == sorted(starts)
    loud = np.abs(spoken.samples) > 0.02
    for word in spoken.words:
        if word.text in ("¿Qué", "Yo,"):
            # Silence before the sentence, and sound in it.
            at = round(word.start_s * 24_000)
            assert not loud[at - 2400 : at - 240].any() and loud[at : at + 4800].any()


@pytest.mark.parametrize("encoding", ["pcm_22050", "mp3_22050_32", "opus_48000_64"])
async def test_livekit_receives_word_times_of_dialogues(espeak_server: ServerProcess, encoding: str) -> None:
    truth, _ = await characters(espeak_server, FIGURES, 22_050)
    (spoken,) = await speak_with_livekit(
        espeak_server.http_url, "espeak:es", [FIGURES], model="eleven_v3", encoding=encoding
    )
    assert_at_its_time(spoken.words, words_of(truth), 0.002)


async def test_realtime_example_writes_speech(espeak_server: ServerProcess, tmp_path: Path) -> None:
    output = tmp_path / "speech.wav"
    options = ("--server", espeak_server.http_url, "--voice", "espeak:es", "-o", output)
    assert "first audio after" in example("elevenlabs_realtime.py", TEXT, *options)
    _, samples = await characters(espeak_server, TEXT, 24_000)
    with wave.open(str(output)) as file:
        assert file.getframerate() == 24_000 and file.getnframes() == len(samples)


def test_sdk_finds_a_given_text_in_a_recording(server: ServerProcess) -> None:
    text = "The birds are singing in the garden this morning. Yesterday it rained from dawn to dusk."
    with httpx.Client(timeout=None) as client:
        sdk = ElevenLabs(api_key="k", base_url=server.http_url, httpx_client=client)
        spoken = sdk.text_to_speech.convert_with_timestamps(GEORGE, text=text, output_format="pcm_16000")
        samples = from_pcm16(np.frombuffer(base64.b64decode(spoken.audio_base_64), np.int16))
        recording = wav(np.concatenate([music(4), samples, music(3)]), RATE)
        found = sdk.forced_alignment.create(file=("a.wav", recording), text=text)
        wrong = sdk.forced_alignment.create(
            file=recording, text="Where did you leave the keys of the red car?"
        )
        with pytest.raises(ApiError) as refused:
            sdk.forced_alignment.create(file=b"no sound", text=text)
    true = spoken.alignment
    assert true is not None and "".join(one.text for one in found.characters) == text
    begins = [at for at in range(len(text)) if text[at] != " " and (at == 0 or text[at - 1] == " ")]
    assert [word.text for word in found.words] == text.split()
    for word, at in zip(found.words, begins, strict=True):
        assert word.start == pytest.approx(4 + true.character_start_times_seconds[at], abs=0.12)
        assert found.characters[at].start == pytest.approx(word.start, abs=0.01)
    assert found.loss < 0.3 and wrong.loss > 0.5
    assert refused.value.status_code == 400 and "file" in str(refused.value.body)
