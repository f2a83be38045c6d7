"""Cases of the parsers of recordings, texts, files, voices as numbers and other servers' messages."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save

import websocket_client
from kani.cli import voices
from kani.composition import settings
from kani.core.audio.ogg_opus import OggOpusDecoder, OggOpusEncoder
from kani.core.audio.ogg_pages import _checksum
from kani.core.audio.pcm import decode_recording
from kani.core.audio.recording_file import RecordingFile
from kani.core.errors import InvalidRequest, UnsupportedLanguage
from kani.core.types import Embedding
from kani.core.voices.names import parse_mix
from kani.core.voices.store_files import decode_embedding, decode_metadata, encode_embedding
from kani.engines.elevenlabs import messages as upstream
from kani.engines.kani.model.checkpoint import open_weights
from kani.engines.kani.model.codec.checkpoint import CONFIG_NAME, WEIGHTS_NAME, NanoCodecConfig, read_nemo
from kani.engines.kani.model.model_config import ModelConfig
from kani.protocols.kyutai import messages as kyutai
from kani.protocols.kyutai import voice_payload
from kani.protocols.openai.speech.tags import split_turns
from kani.protocols.shared.client_languages import accept_languages
from kani.protocols.shared.errors import RequestError
from kani.runtime.errors import CheckpointError
from kani.runtime.packages.checkpoint import read_json
from kani_text.languages import resolve
from kani_text.lexicon_file import LexiconParser
from kani_text.markup import MarkupMasker
from kani_text.normalizer import NormalizerOptions, normalize
from kani_text.segment_queue import SegmentQueue
from kani_text.segmenter import EARLY_PHRASE, Segmenter
from kani_text.ssml import parse
from kani_text.types import Replacement
from tests.core.audio.test_pcm import encoded, tone
from tests.engines.kani.model.codec import tiny_codec
from tests.engines.kani.model.random_checkpoint import TINY
from tests.fuzzing.mutator import Case, Mutator, as_json, as_json_bytes

SSML = """<?xml version="1.0"?><speak xml:lang="es"><p><s>Uno &amp; <mark name="a"/>dos</s><!-- tres --></p>
<sub alias="cuatro">4.</sub><phoneme ph="ˈsinko">5</phoneme>
<say-as interpret-as="date" format="dmy">3/4/25</say-as>
<break time="1s"/><prosody rate="80%" pitch="+2st" volume="-6dB">
<emphasis>seis</emphasis></prosody></speak>"""

TEXT = """# Título
El 3/4/2025 a las 10:30 h, **3,5 €** y 1.234.567 km². *Sí*, `código` [enlace](https://a.es/b_c "t").
<break time="500ms"/> Dr. Pérez (n.º 5) dijo: "¿Qué?" 😀 مرحبا 你好 e\u0301 +34 600 123 456 a@b.es

- uno
- dos &amp; tres
| a | b |
|---|---|
"""
MARKS = "Hola, ¿qué tal? [pause:1.5s] [voice:alloy] [rate:0.8] Hi."
LEXICON = "# es\nKani = kaˈni\nSQL\tese cu ele\n[en]\nnginx = engine x  # server\n[*]\nC++ = /θe mas mas/\n"
ENV = "KANI_PORT=8001\nKANI_MAX_TEXT='10000'\n# no\nexport KANI_VOICE=\"es\"\nKANI_API_KEYS=a,b\n"


def _decode(data: bytes) -> None:
    recording = decode_recording(data)
    assert 0 < recording.duration_s <= 60 and np.isfinite(recording.samples).all()


def _read_recording(data: bytes) -> None:
    with RecordingFile(io.BytesIO(data), 16_000, 60.0) as recording:
        while recording.read() is not None:
            pass


def _recordings() -> tuple[bytes, ...]:
    kinds = [
        *(("wav", "pcm_s16le", 16_000), ("wav", "pcm_f32le", 16_000), ("wav", "pcm_mulaw", 8_000)),
        *(("mp3", "libmp3lame", 24_000), ("flac", "flac", 16_000), ("ogg", "libopus", 48_000)),
        ("mp4", "aac", 24_000),
    ]
    return tuple(encoded(box, codec, tone(0.15, rate), rate) for box, codec, rate in kinds)


def _ogg() -> bytes:
    encoder = OggOpusEncoder()
    return encoder.header + encoder.feed(tone(0.4, 24_000)) + encoder.finish()


def _ogg_stream(mutator: Mutator, sample: bytes) -> list[bytes]:
    """A stream in pieces; the checksums of its pages are right every other time."""
    content = bytearray(mutator.bytes(sample))
    at = content.find(b"OggS") if mutator.sometimes() else -1
    while at >= 0 and at + 27 <= len(content):
        following = content.find(b"OggS", at + 4)
        end = len(content) if following < 0 else following
        struct.pack_into("<I", content, at + 22, 0)
        struct.pack_into("<I", content, at + 22, _checksum(bytes(content[at:end])))
        at = following
    return mutator.pieces(bytes(content))


def _listen(pieces: list[bytes]) -> None:
    decoder = OggOpusDecoder()
    samples = np.concatenate([np.zeros(0, np.float32), *map(decoder.feed, pieces)])
    assert samples.dtype == np.float32 and np.isfinite(samples).all()
    assert np.abs(samples).max(initial=0) <= 1


def _texts(mutator: Mutator, sample: str) -> list[str]:
    text = mutator.text(sample)
    return [text[at : at + 40] for at in range(0, len(text), 40)]


def _mark_up(pieces: list[str]) -> None:
    markup = MarkupMasker()
    parts = [part for piece in pieces for part in markup.feed(piece)] + markup.flush()
    assert sum(len(part) for part in parts if isinstance(part, str)) == sum(map(len, pieces))


def _read_ssml(pieces: list[str]) -> None:
    queue = SegmentQueue(ssml=True)
    for piece in pieces:
        queue.feed(piece)
    queue.finish()
    text = "".join(pieces)
    document = parse(text, rooted=False)
    assert sum(len(part) for part in document.parts if isinstance(part, str)) == len(text)
    replacements, at = dict[int, Replacement](), 0
    for part in document.parts:
        if isinstance(part, Replacement):
            replacements[at] = replace(part, end=at + part.end)
        at += len(part) if isinstance(part, str) else 0
    options = NormalizerOptions("es", None, True, "es", replacements)
    normalize("".join(part for part in document.parts if isinstance(part, str)), 0, options)


def _cut(pieces: list[str]) -> None:
    segmenter = Segmenter(EARLY_PHRASE)
    cuts = [cut for piece in pieces for cut in segmenter.feed(piece)] + segmenter.flush()
    assert all(cut is not None for cut in cuts)


def _written() -> str:
    """The written side of all texts that the normalizer is tested with."""
    table = (Path(__file__).parents[1] / "text/normalizer/readings.tsv").read_text(encoding="utf-8")
    return " ".join(line.split("\t")[1] for line in table.splitlines() if "\t" in line)


def _normalize(text: str) -> None:
    for language in ("es-MX", "en", "fr", "it", "pt", "de", "hi", "ar", "zh", "ja"):
        for complete in (True, False):
            said = normalize(text, options=NormalizerOptions(language), complete=complete)
            assert isinstance(said.text, str)


def _words(content: bytes) -> None:
    reading = LexiconParser()
    reading.parse(content, "lexicon.txt", "es")
    assert len(reading.problems) <= len(content.splitlines())


def _from_server(message: str) -> None:
    _, data = websocket_client._read(message, "ws://test")
    websocket_client._content(data)


def _mapping(mutator: Mutator, sample: Any) -> dict[str, Any]:
    """An object with wrong values; the caller has checked that it is an object."""
    changed = mutator.object(sample)
    return changed if isinstance(changed, dict) else sample


def _payload(mutator: Mutator, sample: bytes) -> np.ndarray:
    """Numbers of a voice with a wrong container, though its digest may be right."""
    content = mutator.bytes(sample)[: voice_payload._BYTES - voice_payload._HEAD.size]
    digest = voice_payload._digest(content) if mutator.sometimes() else bytes(16)
    head = voice_payload._HEAD.pack(voice_payload.MAGIC, voice_payload.VERSION, len(content), digest)
    words = np.frombuffer((head + content).ljust(voice_payload._BYTES, b"\0"), "<i2").astype(np.float32)
    shape = (1, kyutai.EMBEDDING_CHANNELS, voice_payload.FRAMES)
    return (words / np.float32(voice_payload._SCALE)).reshape(shape)


def _embedding_content() -> bytes:
    values = voice_payload.pack([Embedding("tone", "tone 1", np.ones(4, np.float32), {})])
    packed = (values.reshape(-1).astype(np.float64) * voice_payload._SCALE).astype("<i2").tobytes()
    _, _, length, _ = voice_payload._HEAD.unpack_from(packed)
    return packed[voice_payload._HEAD.size :][:length]


NAMES = (
    "recording|recording to transcribe|ogg opus stream|markup|ssml|segmenter|normalizer|readings|lexicon|"
    "language|.env|elevenlabs answer|client|client's voices|kept voice|embedding|config.json|"
    "codec config|nemo|safetensors|kyutai voice payload|openai marks|mix of voices|accept-language"
).split("|")


def cases(folder: Path) -> list[Case]:
    """All cases of this file; folder: for files that are read by their paths."""
    file = folder / "file"

    def through(read: Callable[[Path], object]) -> Callable[[bytes], None]:
        def written(content: bytes) -> None:
            file.write_bytes(content)
            read(file)

        return written

    weights = io.BytesIO()
    torch.save({"a.b": torch.zeros(2, 3), "c": torch.ones(4)}, weights)
    codec = tiny_codec.config(tiny_codec.TINY)
    archive = folder / "codec.nemo"
    tiny_codec.pack(archive, {CONFIG_NAME: yaml.safe_dump(codec).encode(), WEIGHTS_NAME: weights.getvalue()})
    embedding = encode_embedding(Embedding("tone", "tone 1", np.ones(4, np.float32), {}), "ab")
    facts = b'{"name": "a", "made_at": "2026-01-01T00:00:00Z", "consent": "c", "advice": []}'
    answer = {"type": "tts_response", "data": {"status": "success", "audio": "UklG", "metadata": {"a": 1}}}
    times = {"chars": ["a"], "charStartTimesMs": [0], "charDurationsMs": [20]}
    said = {"audio": "AAAA", "alignment": times, "normalizedAlignment": times, "isFinal": None, "error": None}

    def of_bytes(
        name: str,
        parse: Callable[[bytes], object],
        error: type[Exception],
        *samples: bytes,
        share: float = 1.0,
    ) -> Case:
        return Case(name, samples, Mutator.bytes, parse, (error,), share)

    broken = CheckpointError
    checkpoint = save({"a": torch.zeros(2, 3)})
    read_settings = through(lambda path: settings.load({}, {}, path))
    read_config = through(lambda path: ModelConfig.parse(read_json(path)))
    return [
        of_bytes("recording", _decode, InvalidRequest, *_recordings(), share=0.5),
        of_bytes("recording to transcribe", _read_recording, InvalidRequest, *_recordings(), share=0.5),
        Case("ogg opus stream", (_ogg(),), _ogg_stream, _listen, (InvalidRequest,)),
        Case("markup", (TEXT,), _texts, _mark_up),
        Case("ssml", (SSML,), _texts, _read_ssml, (InvalidRequest,), 0.25),
        Case("segmenter", (TEXT,), _texts, _cut),
        Case("normalizer", (TEXT,), Mutator.text, _normalize, (), 0.05),
        Case("readings", (_written(),), Mutator.fragments, _normalize, (), 0.25),
        Case("lexicon", (LEXICON.encode(),), Mutator.bytes, _words),
        Case("language", ("es-419", "Español", "zh-Hans"), Mutator.text, resolve, (UnsupportedLanguage,)),
        of_bytes(".env", read_settings, settings.SettingsError, ENV.encode(), share=0.5),
        Case("elevenlabs answer", (said,), as_json, upstream.parse, (ValueError,)),
        Case("client", (answer,), as_json, _from_server, (websocket_client.KaniTTSError,)),
        Case("client's voices", ({"error": {"message": "no"}},), as_json_bytes, voices._message),
        of_bytes("kept voice", lambda content: decode_metadata(content, "0" * 64), ValueError, facts),
        of_bytes("embedding", lambda content: decode_embedding(content, "ab"), ValueError, embedding),
        Case("config.json", (TINY,), as_json_bytes, read_config, (broken,), 0.5),
        Case("codec config", (codec,), _mapping, NanoCodecConfig.parse, (broken,)),
        of_bytes("nemo", through(read_nemo), broken, archive.read_bytes(), share=0.25),
        of_bytes("safetensors", through(open_weights), broken, checkpoint),
        Case("kyutai voice payload", (_embedding_content(),), _payload, voice_payload.unpack),
        Case(
            "openai marks",
            (MARKS,),
            Mutator.text,
            lambda text: split_turns(text, marks=True),
            (RequestError,),
        ),
        Case("mix of voices", ("af_bella(2)+af_sky(1)",), Mutator.text, parse_mix, (InvalidRequest,)),
        Case(
            "accept-language",
            ("es-419,es;q=0.9,en-GB;q=0.8,*;q=0.1",),
            Mutator.text,
            lambda text: accept_languages({"accept-language": text}),
        ),
    ]
