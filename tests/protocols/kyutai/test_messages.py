"""What Kyutai's protocol is made of, without a socket: its wire format, frames, words, names of voices."""

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kani.core.service import SpeechService
from kani.core.types import Span, SpeechChunk
from kani.protocols.kyutai import messages
from kani.protocols.kyutai.messages import (
    Audio,
    Eos,
    Init,
    Marker,
    OggOpus,
    Text,
    Voice,
    read_recognition_message,
    read_speech_message,
)
from kani.protocols.kyutai.output import Frames
from kani.protocols.kyutai.query import resolve_voice
from kani.protocols.kyutai.words import Break, TimedWord, WordAligner, split_text
from kani.protocols.shared.errors import BadMessage

TYPE = "a4 74797065 "
READY = "81" + TYPE + "a5 5265616479"
NO_FREE_CHANNELS = "82" + TYPE + "a5 4572726f72 a7 6d657373616765 b0 6e6f2066726565206368616e6e656c73"
EOS = "81" + TYPE + "a3 456f73"
TEXT = (
    "84" + TYPE + "a4 54657874 a4 74657874 a5 48656c6c6f a7 73746172745f73 cb 3fceb851eb851eb8 "
    "a6 73746f705f73 cb 3fe47ae147ae147b"
)
AUDIO = "82" + TYPE + "a5 417564696f a3 70636d dc 0780" + "ca00000000" * 1920
VOICE = (
    "83"
    + TYPE
    + "a5 566f696365 aa 656d62656464696e6773 dc fa00"
    + "ca00000000" * 64000
    + "a5 7368617065 93 01 cd0200 7d"
)
MARKER = "82" + TYPE + "a6 4d61726b6572 a2 6964 00"
WORD = "83" + TYPE + "a4 576f7264 a4 74657874 a5 48656c6c6f aa 73746172745f74696d65 cb 3fdeb851eb851eb8"
END_WORD = "82" + TYPE + "a7 456e64576f7264 a9 73746f705f74696d65 cb 3fe999999999999a"
STEP = (
    "84"
    + TYPE
    + "a4 53746570 a8 737465705f696478 cd0198 a3 707273 94"
    + "ca3f000000" * 4
    + "ac 62756666657265645f70636d cd5640"
)
OGG_OPUS = "82" + TYPE + "a7 4f67674f707573 a4 64617461 96 4f 67 67 53 00 ccff"

WRITTEN = {
    "Ready": (READY, messages.encode(messages.Ready())),
    "Error": (NO_FREE_CHANNELS, messages.encode(messages.Error(messages.NO_FREE_CHANNELS))),
    "Text": (TEXT, messages.encode(messages.SpokenText("Hello", 0.24, 0.64))),
    "Audio": (AUDIO, messages.audio(np.zeros(1920, np.float32))),
    "Voice": (VOICE, messages.voice(np.zeros((1, 512, 125), np.float32))),
    "Marker": (MARKER, messages.encode(messages.Marker(0))),
    "Word": (WORD, messages.encode(messages.Word("Hello", 0.48))),
    "EndWord": (END_WORD, messages.encode(messages.EndWord(0.8))),
    "Step": (STEP, messages.step(408, (0.5, 0.5, 0.5, 0.5), 22080)),
    "OggOpus": (OGG_OPUS, messages.ogg_opus(b"OggS\0\xff")),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_message_has_bytes_of_moshi_server(name: str) -> None:
    expected, written = WRITTEN[name]
    assert written == bytes.fromhex(expected)


def test_speech_messages_are_read() -> None:
    assert read_speech_message(bytes.fromhex(EOS)) == Eos()
    assert read_speech_message(b"\0") == Eos()
    assert read_speech_message(bytes.fromhex(TEXT)) == Text("Hello")
    assert read_speech_message('{"type":"Eos"}') == Text('{"type":"Eos"}')
    voice = read_speech_message(bytes.fromhex(VOICE))
    assert isinstance(voice, Voice)
    assert voice.embeddings.shape == (1, 512, 125)


def test_recognition_messages_are_read() -> None:
    audio = read_recognition_message(bytes.fromhex(AUDIO))
    assert isinstance(audio, Audio)
    assert np.array_equal(messages.audio_samples(audio), np.zeros(1920, np.float32))
    for packed in (bytes.fromhex(OGG_OPUS), msgspec.msgpack.encode(OggOpus(b"OggS\0\xff"))):
        opus = read_recognition_message(packed)
        assert isinstance(opus, OggOpus)
        assert messages.ogg_bytes(opus) == b"OggS\0\xff"
    assert read_recognition_message(bytes.fromhex(MARKER)) == Marker(0)
    assert read_recognition_message(msgspec.msgpack.encode({"id": -3, "type": "Marker"})) == Marker(-3)
    assert read_recognition_message(msgspec.msgpack.encode({"type": "Init"})) == Init()


FLOATS = st.floats(-1, 1, width=32)


@given(st.lists(FLOATS, max_size=40), st.sampled_from(["single", "double", "mixed"]), st.booleans())
def test_samples_of_any_number_type_are_read(values: list[float], kind: str, last: bool) -> None:
    numbers: list[float | int] = [round(v) if kind == "mixed" and i % 2 else v for i, v in enumerate(values)]
    pcm = (
        messages.pack_floats(np.array(values, np.float32))
        if kind == "single"
        else msgspec.msgpack.encode(numbers)
    )
    fields = {"type": "Audio", "pcm": msgspec.Raw(pcm), "more": None}
    packed = msgspec.msgpack.encode(dict(reversed(fields.items())) if last else fields)
    audio = read_recognition_message(packed)
    assert isinstance(audio, Audio)
    expected = np.array(values if kind != "mixed" else numbers, np.float32)
    assert np.array_equal(messages.audio_samples(audio), expected)


@pytest.mark.parametrize("type_last", [False, True])
@pytest.mark.parametrize("single", [False, True])
def test_large_audio_message_is_read(type_last: bool, single: bool) -> None:
    wave = np.sin(np.arange(400_000) / 50).astype(np.float32)
    pcm = messages.pack_floats(wave) if single else msgspec.msgpack.encode(wave.astype(float).tolist())
    head, kind = b"\xa3pcm" + pcm, b"\xa4type\xa5Audio"
    audio = read_recognition_message(b"\x82" + (head + kind if type_last else kind + head))
    assert isinstance(audio, Audio)
    assert np.array_equal(messages.audio_samples(audio), wave)


def test_longest_voice_fits_and_samples_are_clipped() -> None:
    assert isinstance(read_speech_message(messages.voice(np.ones((1, 512, 400), np.float32))), Voice)
    with pytest.raises(BadMessage, match="1 to 400"):
        read_speech_message(messages.voice(np.ones((1, 512, 401), np.float32)))
    audio = read_recognition_message(msgspec.msgpack.encode({"type": "Audio", "pcm": [2.5, -1e30, 0.5]}))
    assert isinstance(audio, Audio)
    assert messages.audio_samples(audio).tolist() == [1.0, -1.0, 0.5]


@pytest.mark.parametrize("rate", [24_000, 22_050, 16_000])
def test_frames_are_exact_and_lose_nothing(rate: int) -> None:
    samples = (1.2 * np.sin(np.arange(rate + 17) / 30)).astype(np.float32)
    assert Frames().finish() == []
    frames = Frames()
    out = []
    for at in range(0, len(samples), 1000):
        out += frames.feed(SpeechChunk(samples[at : at + 1000], rate, at / rate))
    out += frames.finish()
    assert {len(frame) for frame in out} == {1920}
    whole = np.concatenate(out)
    expected = round(len(samples) * 24_000 / rate)
    assert len(out) == -(-expected // 1920)
    assert not whole[expected:].any()
    assert np.abs(whole).max() <= np.float32(0.99)
    if rate == 24_000:
        assert np.array_equal(whole[:expected], np.clip(samples, -0.99, 0.99))


def test_text_splits_into_words_and_breaks() -> None:
    text = 'Uno  dos<break time="0.5s"/>tres <break time="99s" /> <break time="0.01s"/>\n<break time="1s">'
    assert split_text(f'{text}<break time="0.15s"/>') == [
        "Uno",
        "dos",
        Break(0.48, '<break time="0.50s">'),
        "tres",
        Break(10.0, '<break time="10.00s">'),
        Break(0.08, '<break time="0.01s">'),
        Break(0.96, '<break time="1.00s">'),
        Break(0.08, '<break time="0.15s">'),
    ]
    assert split_text(' \n\u00a0<break time="1.2.3s"/>') == []


def echoes(*words: str) -> list[str]:
    times = WordAligner()
    text = "".join(map(times.add, words))
    return [word.text for word in times.align([Span(0, len(text), 0.0, float(len(text)))])]


def test_words_are_echoed_as_by_original() -> None:
    assert echoes("l’eau", "(Hola)", "Nota:", "12:30", "a–b", ":", "()", "«sí»") == [
        *("l'eau", "Hola", "Nota", "12", "30", "ab", "«sí»")
    ]
    words = [part for part in split_text("Uno:\n- dos\n\n\ntres") if isinstance(part, str)]
    times = WordAligner()
    assert "".join(map(times.add, words)) == "Uno:\n- dos\n\ntres "
    assert [word.text for word in times.align([Span(0, 17, 0.0, 17.0)])] == ["Uno", "-", "dos", "tres"]


def test_words_share_spans_and_keep_their_order() -> None:
    times = WordAligner()
    times.add("12:30")
    assert times.align([Span(0, 5, 1.0, 2.0)]) == [TimedWord("12", 1.0, 1.4), TimedWord("30", 1.6, 2.0)]
    times = WordAligner()
    for word in ("uno", "dos"):
        times.add(word)
    told = times.align([Span(0, 3, 1.0, 2.0), Span(4, 7, 0.5, 0.75)])
    assert told == [TimedWord("uno", 1.0, 2.0), TimedWord("dos", 1.0, 1.0)]
    times = WordAligner()
    times.add("electro-magnético")
    assert times.align([Span(0, 7, 0.0, 0.5)]) == []
    assert times.align([Span(7, 18, 0.5, 1.5)]) == [
        TimedWord("electro-magnético", 0.0, pytest.approx(1.4, abs=0.1))
    ]
    times = WordAligner()
    assert "".join(map(times.add, ["¿Qué,", "tal?"])) == "¿Qué, tal? "
    spans = [
        *(Span(0, 1, 0.0, 0.2), Span(1, 4, 0.2, 0.5), Span(4, 6, 0.5, 0.9), Span(6, 9, 0.9, 1.3)),
        Span(9, 11, 1.3, 1.5),
    ]
    assert times.align(spans) == [TimedWord("¿Qué,", 0.2, 0.5), TimedWord("tal?", 0.9, 1.3)]


def test_breaks_keep_their_place() -> None:
    times = WordAligner()
    for word in ("uno", "…", Break(0.48, "<break>"), Break(0.08, "<break 2>"), "dos"):
        times.add(word)
    spans = [Span(0, 3, 0.0, 0.3), Span(3, 6, 0.3, 0.4), Span(6, 6, 0.4, 0.88), Span(6, 6, 0.88, 0.96)]
    assert times.align([*spans, Span(6, 10, 0.96, 1.36)]) == [
        *(TimedWord("uno", 0.0, 0.3), TimedWord("…", pytest.approx(1 / 3), pytest.approx(11 / 30))),
        *(TimedWord("<break>", 0.4, 0.88), TimedWord("<break 2>", 0.88, 0.96)),
        TimedWord("dos", 0.96, pytest.approx(1.26)),
    ]


LETTERS = st.text(st.sampled_from("aé,.:;()–— 1😀-"), min_size=1, max_size=8).filter(
    lambda text: text.split()
)


@given(st.lists(LETTERS, max_size=12), st.data())
def test_words_return_once_and_in_order(texts: list[str], data: st.DataObject) -> None:
    times = WordAligner()
    words = [part for text in texts for part in split_text(text) if isinstance(part, str)]
    text = "".join(map(times.add, words))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(text) - 1)))) if len(text) > 1 else []
    edges = [0, *cuts, len(text)] if text else []
    told = [
        word
        for first, last in pairwise(edges)
        for word in times.align([Span(first, last, first / 10, last / 10)])
    ]
    assert [word.text for word in told] == echoes(*words)
    assert all(word.start_s <= word.stop_s for word in told)
    assert all(one.start_s <= other.start_s for one, other in pairwise(told))


@pytest.mark.parametrize(
    ("name", "language", "gender"),
    [
        ("unmute-prod-website/p329_022.wav", "en", "female"),
        ("unmute-prod-website/developpeuse-3.wav", "fr", "female"),
        # There is no French man.
        ("unmute-prod-website/degaulle-2.wav", "fr", "female"),
        ("developpeuse-3.wav+2.5", "fr", "female"),
        ("developpeuse-3.wav 2.5", "fr", "female"),
        ("expresso/ex03-ex01_happy_001_channel1_334s.wav", "en", None),
        ("cml-tts/fr/12977_10625_000037-0001.wav", "fr", None),
        ("vctk/p226_023.wav", "en", None),
        ("em_alex", "es", "male"),
    ],
)
async def test_kyutai_voice_maps_to_language_and_sex(
    voices_service: SpeechService, name: str, language: str, gender: str | None
) -> None:
    found = resolve_voice(name, voices_service)
    voice = next(voice for voice in voices_service.catalogue.list() if voice.id == found)
    assert voice.language.partition("-")[0] == language
    assert voice.engine == "kokoro"
    assert gender in (None, voice.gender)


@pytest.mark.parametrize("name", [None, "", "nobody", "custom:x", "custom:../x", "default_voice.wav", "+2.5"])
async def test_unknown_name_is_default_voice(voices_service: SpeechService, name: str | None) -> None:
    assert resolve_voice(name, voices_service) is None
