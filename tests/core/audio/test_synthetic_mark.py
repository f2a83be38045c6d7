"""The mark of synthetic speech: other programs read it, the sound stays, and one switch turns it off."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kani.core.audio import synthetic_mark
from kani.core.audio.encoding import AudioFormat
from kani.core.audio.pcm import decode_recording, wav
from kani.core.types import Samples
from kani.protocols.kani.request import WAV
from kani.protocols.openai.speech.formats import FORMATS
from tests.core.audio.test_encoding import streamed, whole
from tests.core.audio.test_ogg_opus import melody
from tests.support.patience import WITHIN_S

MARKED = [name for name in FORMATS if name not in ("pcm", "aac")]
FFPROBE, EXIFTOOL = shutil.which("ffprobe"), shutil.which("exiftool")
Encode = Callable[[AudioFormat, Any], bytes]


@pytest.fixture
def unmarked() -> Iterator[None]:
    synthetic_mark.set_marking(on=False)
    yield
    synthetic_mark.set_marking(on=True)


def told(*command: str) -> Any:
    return json.loads(subprocess.run(command, capture_output=True, check=True, timeout=WITHIN_S).stdout)


@pytest.mark.parametrize("name", MARKED)
@pytest.mark.parametrize("encode", [whole, streamed])
def test_ffprobe_and_exiftool_read_it(tmp_path: Path, name: str, encode: Encode) -> None:
    if FFPROBE is None or EXIFTOOL is None:
        pytest.skip("ffprobe or exiftool is not installed")
    path = tmp_path / f"speech.{name}"
    path.write_bytes(encode(FORMATS[name], melody(1.3)))
    entries = "format_tags:stream_tags"
    probed = told(FFPROBE, "-v", "error", "-show_entries", entries, "-of", "json", str(path))
    parts = [probed["format"], *probed["streams"]]
    tags = {key.lower(): value for part in parts for key, value in part.get("tags", {}).items()}
    assert tags["comment"] == synthetic_mark.TAGS["comment"]
    assert name == "wav" or tags["digitalsourcetype"] == synthetic_mark.SOURCE_TYPE
    (read,) = told(EXIFTOOL, "-json", str(path))
    assert synthetic_mark.SOURCE_TYPE in read["Comment"]


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("encode", [whole, streamed])
def test_the_sound_is_the_same_without_it(name: str, encode: Encode, request: pytest.FixtureRequest) -> None:
    form, samples = FORMATS[name], melody(1.3)
    marked = encode(form, samples)
    request.getfixturevalue("unmarked")
    plain = encode(form, samples)
    assert (marked != plain) == (name in MARKED)
    assert synthetic_mark.SOURCE_TYPE.encode() not in plain
    assert np.array_equal(_samples(marked, form), _samples(plain, form))


def _samples(data: bytes, form: AudioFormat) -> Samples:
    if form.codec in ("pcm", "aac"):
        return np.frombuffer(data, np.uint8)
    return decode_recording(data).samples


def test_files_of_clients_that_know_the_header_and_recordings_of_people_are_not_marked() -> None:
    samples = melody(0.2)
    assert whole(WAV, samples)[36:40] == streamed(WAV, samples)[36:40] == b"data"
    assert wav(samples, 24_000)[36:40] == b"data"
