"""Voice ids, descriptions, searches, settings and joined recordings of ElevenLabs' clients."""

from typing import Any

import numpy as np
import pytest

from kani.core.audio.pcm import decode_recording, wav
from kani.core.errors import InvalidRequest, UnknownVoice, UnsupportedLanguage
from kani.core.service import SpeechService
from kani.core.types import Voice
from kani.core.voices.store import NewVoice
from kani.protocols.elevenlabs import plugin
from kani.protocols.elevenlabs.http.lists import DEFAULT_PAGE_SIZE, describe_voice_id, search_voices
from kani.protocols.elevenlabs.http.voices import JOINED_RATE, join_recordings
from kani.protocols.elevenlabs.plugin import ElevenLabsSettings
from kani.protocols.elevenlabs.voice_ids import PREMADE_VOICES, resolve_voice
from kani.protocols.elevenlabs.voice_settings import DEFAULT_SETTINGS, Settings, parse_settings
from tests.protocols.voices_api.test_voices_api import recording

RACHEL, ADAM, RIVER = "21m00Tcm4TlvDq8ikWAM", "pNInz6obpgDQGcFmaJgB", "SAz9YHcvj6GT2YYXdXww"
NO_SETTINGS = ElevenLabsSettings()


@pytest.fixture
def service(voices_service: SpeechService) -> SpeechService:
    """It has a stored voice, too."""
    new = NewVoice("ana-maria", recording(), consent="It is mine.", origin="test", language="es")
    voices_service.store.add(new)
    return voices_service


@pytest.mark.parametrize(
    ("name", "language", "found"),
    [
        ("ef_dora", None, "ef_dora"),
        ("espeak:ar", None, "espeak:ar"),
        ("custom:ana-maria", None, "custom:ana-maria"),
        ("ana-maria", None, "custom:ana-maria"),
        ("default", None, None),
        *((voice_id, None, None) for voice_id in sorted(PREMADE_VOICES)),
        # With a language a premade voice has its sex.
        (RACHEL, "es", "ef_dora"),
        (ADAM, "es", "em_alex"),
        (RIVER, "es", "ef_dora"),
        (ADAM, "it", "im_nicola"),
        (RACHEL, "en", "af_heart"),
        (ADAM, "fr", None),
    ],
)
def test_id_names_a_voice(service: SpeechService, name: str, language: str | None, found: str | None) -> None:
    assert resolve_voice(service, name, NO_SETTINGS, language) == found


@pytest.mark.parametrize("region", ["en-GB", "en-US"])
@pytest.mark.parametrize("voice_id", [RACHEL, ADAM])
def test_premade_voice_has_requested_region(service: SpeechService, voice_id: str, region: str) -> None:
    ours = resolve_voice(service, voice_id, NO_SETTINGS, region)
    voice = next(voice for voice in service.catalogue.list() if voice.id == ours)
    assert (voice.language, voice.gender) == (region, PREMADE_VOICES[voice_id].gender)


def test_operator_maps_ids_and_premade_voices_need_a_language(service: SpeechService) -> None:
    chosen = ElevenLabsSettings(plugin.Settings(voices={"theirs": "em_santa", ADAM: "em_alex", "wrong": "x"}))
    assert resolve_voice(service, "theirs", chosen) == "em_santa"
    assert resolve_voice(service, ADAM, chosen) == "em_alex"
    with pytest.raises(UnknownVoice, match="'wrong'"):
        resolve_voice(service, "wrong", chosen)
    with pytest.raises(UnsupportedLanguage):
        resolve_voice(service, RACHEL, NO_SETTINGS, "yo")


def test_voices_are_described_and_sorted(service: SpeechService) -> None:
    told = describe_voice_id(service, RACHEL, NO_SETTINGS, "http://localhost")
    assert (told["voice_id"], told["name"], told["labels"]["gender"]) == (RACHEL, "Rachel", "female")
    assert told["preview_url"] is None and told["verified_languages"] == []
    assert describe_voice_id(service, "default", NO_SETTINGS, "http://localhost")["name"] == "Default"
    names = [voice.name for voice in search_voices(VOICES, {"sort": "name", "page_size": "100"})[0]]
    assert names == sorted(names, key=str.casefold)
    down = search_voices(VOICES, {"sort": "name", "sort_direction": "desc", "page_size": "100"})[0]
    assert [voice.name for voice in down] == names[::-1]


def test_voice_is_described_by_requested_id(service: SpeechService) -> None:
    chosen = ElevenLabsSettings(plugin.Settings(voices={"theirs": "em_alex", "clone": "custom:ana-maria"}))
    told = describe_voice_id(service, "theirs", chosen, "http://localhost")
    assert (told["voice_id"], told["name"], told["category"]) == ("theirs", "em_alex", "premade")
    assert told["preview_url"] == "http://localhost/v1/audio/voices/em_alex/preview"
    clone = describe_voice_id(service, "clone", chosen, "http://localhost")
    assert (clone["voice_id"], clone["category"]) == ("clone", "cloned")
    kept = describe_voice_id(service, "ana-maria", NO_SETTINGS, "http://localhost")
    assert (kept["category"], kept["is_owner"]) == ("cloned", True)
    assert kept["preview_url"] == "http://localhost/v1/audio/voices/custom%3Aana-maria/preview"


VOICES = [Voice(f"v{n}", f"Name {n:02}", "es" if n % 2 else "en-GB", "tone", "female") for n in range(25)]
VOICES.append(Voice("custom:ana", "ana", "", "", ""))


def test_search_pages_contain_every_voice_once() -> None:
    for size in (None, 1, 7, 100):
        query = {} if size is None else {"page_size": str(size)}
        seen, token = [], ""
        while token is not None:
            page, total, token = search_voices(VOICES, query | {"next_page_token": token})
            assert total == len(VOICES) and 0 < len(page) <= (size or DEFAULT_PAGE_SIZE)
            seen += page
        assert seen == VOICES


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"search": "SPANISH"}, 12),
        ({"search": "name 07"}, 1),
        ({"search": "en-gb"}, 13),
        ({"search": "nobody"}, 0),
        ({"category": "cloned"}, 1),
        ({"category": "premade"}, 25),
        ({"category": "professional"}, 0),
        ({"voice_type": "personal"}, 1),
        ({"voice_type": "default"}, 25),
        ({"voice_type": "saved"}, 26),
        ({"voice_type": "community"}, 0),
    ],
)
def test_search_filters_by_words_and_category(query: dict[str, str], found: int) -> None:
    assert search_voices(VOICES, query)[1] == found


@pytest.mark.parametrize("given", [{}, DEFAULT_SETTINGS, dict.fromkeys(DEFAULT_SETTINGS), {"new_field": 5}])
def test_default_settings_request_nothing(given: Any) -> None:
    read = parse_settings(given, Settings)
    assert read and (read.speed, read.stability, read.temperature, read.unused) == (None, None, None, ())


def test_settings_are_applied_or_reported_unused() -> None:
    asked = {"speed": 1.1, "stability": 1, "style": 0.4, "similarity_boost": 1.0, "use_speaker_boost": False}
    read = parse_settings(asked, Settings)
    assert (read.speed, read.sampling(7).seed) == (1.1, 7)
    assert read.unused == (
        "voice_settings.similarity_boost",
        "voice_settings.style",
        "voice_settings.use_speaker_boost",
    )
    assert read.unused_fields(["seed", "temperature"]) == sorted(
        ["seed", "voice_settings.stability", *read.unused]
    )
    temperatures = [parse_settings({"stability": s}, Settings).temperature for s in (0, 0.25, 0.75, 1)]
    assert temperatures == pytest.approx([0.9, 0.75, 0.45, 0.3])


@pytest.mark.parametrize("name", ["stability", "similarity_boost", "style", "speed", "use_speaker_boost"])
def test_settings_have_ranges(name: str) -> None:
    low, high = (0.7, 1.2) if name == "speed" else (False, True) if "use" in name else (0, 1)
    for value in (low, high):
        parse_settings({name: value}, Settings)
    wrong = [low - 0.01, high + 0.01, float("nan"), 10**400, "1", [], 1 if "use" in name else True]
    for value in wrong:
        with pytest.raises(InvalidRequest) as refused:
            parse_settings({name: value}, Settings)
        assert refused.value.field == f"voice_settings.{name}", value
    for given in (5, "fast", []):
        with pytest.raises(InvalidRequest, match="voice_settings"):
            parse_settings(given, Settings)


def tone(hertz: float, seconds: float, rate: int) -> bytes:
    times = np.arange(round(seconds * rate)) / rate
    return wav((0.5 * np.sin(2 * np.pi * hertz * times)).astype(np.float32), rate)


def pitch(samples: np.ndarray) -> float:
    return float(np.abs(np.fft.rfft(samples)).argmax() * JOINED_RATE / len(samples))


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_recordings_are_joined_in_order(rate: int) -> None:
    joined, whole = join_recordings([tone(200, 2.0, rate), tone(300, 1.0, 16_000), tone(400, 1.0, 48_000)])
    recording = decode_recording(joined)
    assert whole and (recording.sample_rate, recording.duration_s) == (JOINED_RATE, 4.0)
    first, second, third = np.split(recording.samples, [2 * JOINED_RATE, 3 * JOINED_RATE])
    assert [round(pitch(piece)) for piece in (first, second, third)] == [200, 300, 400]


def test_one_recording_stays_as_it_is_and_joined_ones_have_at_most_60_s() -> None:
    assert join_recordings([b"anything"]) == (b"anything", True)
    with pytest.raises(InvalidRequest, match="files: number 2 is empty"):
        join_recordings([tone(200, 1.0, 8_000), b""])
    half = tone(200, 30.0, 8_000)
    joined, whole = join_recordings([half, half])
    assert whole and decode_recording(joined).duration_s == 60.0
    joined, whole = join_recordings([half, tone(300, 70.0, 8_000)])
    assert not whole and decode_recording(joined).duration_s == 60.0
    joined, whole = join_recordings([tone(300, 70.0, 8_000), b"not looked at any more", half])
    assert not whole and decode_recording(joined).duration_s == 60.0
