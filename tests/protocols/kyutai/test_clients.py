"""Clients that speak as Kyutai's do, written anew here, against a default server.

What they receive is judged by whisper-base, and what the server hears by the text that was spoken to it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise

import numpy as np
import pytest

from examples import kyutai_stt_client, kyutai_tts_client
from kani.core.audio.pcm import wav
from kani.core.types import Samples
from tests.clients.kyutai.scripts import (
    TimedWord,
    invincible_speech,
    invincible_words,
    listen_script,
    microphone_script,
    speak_script,
)
from tests.clients.kyutai.unmute import (
    SpokenAudio,
    SpokenText,
    UnmuteListener,
    UnmuteSpeaker,
    as_written,
    unmute_clones,
    unmute_is_healthy,
    unmute_sample,
)
from tests.clients.kyutai.wire import RATE
from tests.conftest import ServerProcess
from tests.judges.judge import hear, word_error_rate
from tests.support.patience import WITHIN_S
from tests.support.sound_measures import pitch

ENGLISH = "Good morning, the train to the mountains leaves from the other platform today."
FRENCH = "Nous avons passé toute la matinée dans le jardin avec les enfants."
SPANISH = "Buenos días, hoy vamos a preparar una tortilla de patatas con mucha cebolla."
DINNER = "Ahora vamos a poner la mesa para toda la familia."
# Nothing before its pause is a whole sentence: that may end a turn, where words are decided within 0.3 s.
QUESTION = "When all of us come home from the mountains tonight, what should we have for dinner?"
ANSWER = "Let us make some soup, because the weather is cold and everybody likes it."
MOUTHFUL = 960  # samples of a browser's packet: 40 ms
PARISIAN = "unmute-prod-website/developpeuse-3.wav"
WRONG_AT_MOST = 0.04  # of the words; of a sentence of a dozen: none
ONE_WORD = 0.09  # of FRENCH: "toute la" is written "toutes la" where two passes end after "la"


def assert_heard(samples: Samples, text: str, language: str) -> None:
    heard = hear(samples, RATE, language)
    assert word_error_rate(text, heard, language) <= WRONG_AT_MOST, heard


def assert_understood(
    words: list[str], text: str, language: str, wrong_at_most: float = WRONG_AT_MOST
) -> None:
    assert word_error_rate(text, " ".join(words), language) <= wrong_at_most, words


def assert_timed(words: list[TimedWord] | list[kyutai_stt_client.Word], start_s: float, end_s: float) -> None:
    """Assert that words are in order, each has an end, and all are where they were said."""
    for word in words:
        assert word.stop_s is not None and word.start_s <= word.stop_s, words
    for word, following in pairwise(words):
        assert word.start_s <= following.start_s, words
    assert words[0].start_s == pytest.approx(start_s, abs=0.5)
    assert words[-1].stop_s == pytest.approx(end_s, abs=0.5)


def assert_told_in_time(messages: list[SpokenText | SpokenAudio]) -> None:
    """Assert that each word is sent before its audio, or soon after."""
    sent_s = 0.0
    for message in messages:
        if isinstance(message, SpokenAudio):
            sent_s += len(message.pcm) / RATE
        else:
            assert sent_s < message.stop_s + 1, message


def semitones(samples: Samples) -> float:
    return float(12 * np.log2(np.nanmedian(pitch(samples))))


Say = Callable[[str, str], Awaitable[Samples]]


@pytest.fixture(scope="module")
def said() -> dict[tuple[str, str], Samples]:
    return {}


@pytest.fixture
def say(server: ServerProcess, said: dict[tuple[str, str], Samples]) -> Say:
    """Let the server itself say something for its recogniser to hear: a text, a voice."""

    async def speak(text: str, voice: str) -> Samples:
        if (text, voice) not in said:
            said[text, voice] = await speak_script(server.url, text, voice)
        return said[text, voice]

    return speak


Client = Callable[[ServerProcess, str], Awaitable[Samples]]
CLIENTS: dict[str, Client] = {
    "script": lambda server, text: speak_script(server.url, text),
    "example": lambda server, text: kyutai_tts_client.speak(server.url, text, PARISIAN, "public_token"),
    "unmute's sample": lambda server, text: unmute_sample(server.url, text),
    "invincible voice": lambda server, text: invincible_speech(server.http_url, text, PARISIAN),
}


@pytest.mark.parametrize(
    ("client", "text", "language"),
    [
        pytest.param("script", ENGLISH, "en", marks=pytest.mark.heard),
        ("example", FRENCH, "fr"),
        pytest.param("unmute's sample", SPANISH, "es", marks=pytest.mark.heard),
        pytest.param("invincible voice", FRENCH, "fr", marks=pytest.mark.heard),
    ],
)
async def test_speech_is_understood(server: ServerProcess, client: str, text: str, language: str) -> None:
    assert_heard(await CLIENTS[client](server, text), text, language)


@pytest.mark.heard
async def test_unmute_speaks_several_turns(server: ServerProcess) -> None:
    assert await unmute_is_healthy(server.http_url)
    for text in (QUESTION, ANSWER):
        speaker = UnmuteSpeaker(server.url, "unmute-prod-website/p329_022.wav")
        await speaker.start_up()
        turn = await speaker.say(as_written(text))
        assert_heard(turn.samples, text, "en")
        assert [word.text for word in turn.words] == text.split()
        assert all(word.start_s <= word.stop_s <= len(turn.samples) / RATE for word in turn.words)
        assert all(one.start_s <= other.start_s for one, other in pairwise(turn.words))
        assert_told_in_time(turn.messages)


@pytest.mark.heard
async def test_unmute_speaks_with_cloned_voice(server: ServerProcess, say: Say) -> None:
    recording = await say(QUESTION, "am_michael")
    embedding = await unmute_clones(server.http_url, wav(recording, RATE))
    pitches = []
    for sent in (None, embedding, embedding):
        speaker = UnmuteSpeaker(server.url, embedding=sent)
        await speaker.start_up()
        turn = await speaker.say(as_written(ANSWER))
        assert_heard(turn.samples, ANSWER, "en")
        pitches.append(semitones(turn.samples))
    own, *cloned = (abs(each - semitones(recording)) for each in pitches)
    assert own > 6 and max(cloned) < 3


async def test_unmute_can_be_interrupted(server: ServerProcess) -> None:
    for _ in range(3):
        speaker = UnmuteSpeaker(server.url, PARISIAN)
        await speaker.start_up()
        await speaker.first_sound(FRENCH)
        await speaker.interrupt()
    speaker = UnmuteSpeaker(server.url, PARISIAN)
    await speaker.start_up()
    assert_heard((await speaker.say(as_written(FRENCH))).samples, FRENCH, "fr")


@pytest.mark.heard
async def test_stt_script_transcribes_file(server: ServerProcess, say: Say) -> None:
    samples = await say(ENGLISH, "af_heart")
    words = await listen_script(server.url, samples, pace=1.01)
    assert_understood([word.text for word in words], ENGLISH, "en")
    assert_timed(words, 1.0, 1.0 + len(samples) / RATE)


@pytest.mark.heard
async def test_microphone_script_prints_words_and_pauses(server: ServerProcess, say: Say) -> None:
    quiet = np.zeros(4 * RATE, np.float32)
    sentences = [await say(text, "ef_dora") for text in (SPANISH, DINNER)]
    async with asyncio.timeout(WITHIN_S):
        said = np.concatenate([sentences[0], quiet, sentences[1], np.tile(quiet, 3)])
        line = await microphone_script(server.url, said)
    first, second, _ = line.split("|")
    assert_understood(first.split(), SPANISH, "es")
    assert_understood(second.split(), DINNER, "es")


async def test_example_stt_client_transcribes_speech(server: ServerProcess, say: Say) -> None:
    samples = await say(FRENCH, PARISIAN)
    words = await kyutai_stt_client.transcribe(server.url, samples, "public_token")
    assert_understood([word.text for word in words], FRENCH, "fr", ONE_WORD)
    assert_timed(words, 0.0, len(samples) / RATE)


async def test_invincible_voice_transcribes_speech(server: ServerProcess, say: Say) -> None:
    samples = await say(FRENCH, PARISIAN)
    assert_understood(await invincible_words(server.url, samples), FRENCH, "fr", ONE_WORD)


async def user_turn(listener: UnmuteListener, samples: Samples) -> float:
    """Speak to Unmute, then be silent until it answers; the seconds of silence until then."""
    loop = asyncio.get_running_loop()
    quiet = np.zeros(round(WITHIN_S * RATE), np.float32)
    sound = np.concatenate([samples, quiet])
    began = loop.time()
    for at in range(0, len(sound), MOUTHFUL):
        if await listener.hear(sound[at : at + MOUTHFUL]):
            return (at - len(samples)) / RATE
        await asyncio.sleep(began + at / RATE - loop.time())
    raise AssertionError(f"no end of the turn was noticed: {listener.words}")


@pytest.mark.heard
async def test_unmute_hears_turn_with_a_short_pause_and_its_end(server: ServerProcess, say: Say) -> None:
    first, second = "So I was thinking, maybe we could", "visit our grandmother on Sunday."
    breath = np.zeros(round(0.4 * RATE), np.float32)
    spoken = [await say(first, "am_michael"), breath, await say(second, "am_michael")]
    listener = UnmuteListener(server.url)
    await listener.start_up()
    assert await user_turn(listener, np.concatenate(spoken)) > 0
    await listener.shut_down()
    assert_understood(listener.words, f"{first} {second}", "en")
