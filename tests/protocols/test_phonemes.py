"""Words with phonemes of their own, as listeners of a default server hear them: Kokoro and its students."""

import httpx2
import numpy as np
import pytest

from tests.clients.elevenlabs.wire import connect_client
from tests.conftest import ServerProcess
from tests.judges.judge import hear, words_of
from tests.support.patience import WITHIN_S

RATE = 24_000
pytestmark = pytest.mark.heard


def heard(pcm: bytes, language: str) -> list[str]:
    return words_of(hear(np.frombuffer(pcm, "<i2").astype(np.float32) / 32768, RATE, language), language)


ENGLISH = (
    "She plays the [piano](/ɡɪˈtɑːɹ/) every evening. My brother drives a green [truck](/tɹˈæktəɹ/). "
    "The [old station](/lˈIbɹˌɛɹi/) closes at five. They live in [Greece](/nˈɔːɹweɪ/) in the spring.",
    "She plays the guitar every evening. My brother drives a green tractor. The library closes at five. "
    "They live in Norway in the spring.",
)
SPANISH = (
    "Mi abuela cocina [arroz](/pesˈkaðo/) los viernes. La [mesa](/benˈtana/) de la cocina está rota. "
    "Mañana viajamos a [Lisboa](/ˈroma/) con los niños.",
    "Mi abuela cocina pescado los viernes. La ventana de la cocina está rota. "
    "Mañana viajamos a Roma con los niños.",
)


@pytest.mark.parametrize(
    ("language", "voice", "texts"),
    [
        *(("en", voice, ENGLISH) for voice in (None, "am_michael", "bf_emma")),
        *(("es", voice, SPANISH) for voice in (None, "em_alex")),
    ],
)
def test_words_are_heard_as_their_phonemes(
    server: ServerProcess, language: str, voice: str | None, texts: tuple[str, str]
) -> None:
    body = {"input": texts[0], "response_format": "pcm"} | ({"voice": voice} if voice else {})
    answer = httpx2.post(f"{server.http_url}/v1/audio/speech", json=body, timeout=WITHIN_S)
    assert heard(answer.raise_for_status().content, language) == words_of(texts[1], language)
    assert "x-unused" not in answer.headers


TAGGED = [
    ('<phoneme alphabet="ipa" ph="ɡɪˈtɑːɹ">piano</phoneme>', "guitar"),
    ('<phoneme alphabet="cmu-arpabet" ph="V AY2 AH0 L IH1 N">piano</phoneme>', "violin"),
    ("[piano](/ɡɪˈtɑːɹ/)", "guitar"),
    ('<phoneme alphabet="x-sampa" ph="gI&quot;tAr">piano</phoneme>', "piano"),
    ("[piano](/guitar/)", "piano"),
]


def test_elevenlabs_text_is_heard_as_its_phonemes(server: ServerProcess) -> None:
    path = f"{server.http_url}/v1/text-to-speech/af_heart?output_format=pcm_24000"
    text, expected = (
        " ".join(f"She plays the {pair[at]} every evening." for pair in TAGGED) for at in (0, 1)
    )
    body = {"text": text, "model_id": "eleven_flash_v2"}
    answer = httpx2.post(path, json=body, timeout=WITHIN_S).raise_for_status()
    assert heard(answer.content, "en") == words_of(expected, "en")


@pytest.mark.parametrize(("word", "said", "size"), [(*TAGGED[1], 1), (*TAGGED[2], 1), (*TAGGED[0], 9)])
async def test_phonemes_arrive_in_pieces(server: ServerProcess, word: str, said: str, size: int) -> None:
    """The characters that come back are those that were sent; the spoken form has the word."""
    text = f"She plays the {word} every evening. "
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    async with connect_client(server.url, voice="af_heart", output_format="pcm_24000") as client:
        speech = await client.speak(*pieces)
    assert heard(speech.audio, "en") == words_of(f"She plays the {said} every evening.", "en")
    assert "".join(each.text for _, characters in speech.parts for each in characters).strip() == text.strip()
    assert "plays the piano every" in "".join(each.text for each in speech.normalized)
