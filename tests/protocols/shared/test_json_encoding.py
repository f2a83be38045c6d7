"""Bodies of JSON in UTF-8, with its mark as Windows' programs write it, and those in other encodings."""

import codecs
import json

import httpx2
import numpy as np
import pytest

from kani.protocols.shared.calls.bodies import WrongEncoding, json_text, parse_object
from tests.support.servers.app_server import AppServer

TEXT = '{"input": "¿Qué año?"}'
OTHERS = pytest.mark.parametrize(
    "encoding", ["latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)


def test_mark_of_utf_8_is_taken() -> None:
    assert (
        parse_object(codecs.BOM_UTF8 + TEXT.encode()) == parse_object("\ufeff" + TEXT) == parse_object(TEXT)
    )


@OTHERS
def test_another_encoding_is_named(encoding: str) -> None:
    with pytest.raises(WrongEncoding, match="has to be in UTF-8"):
        parse_object(TEXT.encode(encoding))


@pytest.mark.parametrize("said", ["¿Qué año?", "half a pair: \ud83d"])
def test_messages_hold_audio_and_any_text(said: str) -> None:
    # A plug-in's recogniser may have numbers of NumPy's.
    at = [0, 0.5, None, np.float64(0.25), np.float32(0.125)]
    written = json_text({"said": said, "audio": b"\0\1\2\3", "at": at})
    assert json.loads(written) == {"said": said, "audio": "AAECAw==", "at": at}
    assert written.endswith('"audio":"AAECAw==","at":[0,0.5,null,0.25,0.125]}')


@pytest.mark.parametrize("path", ["/v1/audio/speech", "/v1/text-to-speech/espeak:es", "/tts"])
def test_calls_say_so(espeak_app: AppServer, path: str) -> None:
    answer = httpx2.post(
        espeak_app.http_url + path,
        content=TEXT.encode("latin-1"),
        headers={"content-type": "application/json"},
    )
    assert 400 <= answer.status_code < 500 and "has to be in UTF-8" in answer.text
