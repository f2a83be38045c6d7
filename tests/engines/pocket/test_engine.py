"""The Pocket engine: its contract, cloning, stored voices, and files that are wrong or fetched."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from kani.core.audio.pcm import REFERENCE_RATE, decode_recording, wav
from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.types import Recording, Samples, Sampling, Segment
from kani.engines.espeak.engine import EspeakEngine
from kani.engines.pocket import text
from kani.engines.pocket.engine import PocketEngine
from kani.engines.pocket.model import _fetched
from kani.engines.pocket.published import CLONING_REPOSITORY, OPEN_REPOSITORY, PUBLISHED, languages_here
from kani.engines.pocket.settings import PocketSettings
from kani.runtime.errors import CheckpointError
from kani.runtime.hub import Hub as HubFiles
from tests.clients.voxcpm.wire import opened
from tests.conftest import StartServer
from tests.engines.pocket.random_pocket import Reference, resources, rewrite, write
from tests.protocols.conftest import start_app as start_app
from tests.runtime.test_hub import Hub, use_hub
from tests.runtime.test_hub import hub as hub
from tests.support.servers.app_server import StartApp
from websocket_client import KaniTTSClient

TEXTS = ("Guten Morgen!", "Wie geht es dir heute, mein Freund?", "Das ist gut; sehr gut.")
RATE = 24_000
IDLE = {"waiting": 0, "running": 0}


def segment_of(written: str = TEXTS[0], **changed: object) -> Segment:
    plain = Segment(written, "pocket:juergen", "de", max_seconds=1.5, sampling=Sampling(seed=3))
    return replace(plain, **changed)


async def said(engine: PocketEngine, segment: Segment) -> Samples:
    chunks = [chunk async for chunk in engine.synthesize(segment)]
    assert chunks[0].start_s == 0
    for before, after in pairwise(chunks):
        assert before.end_s == pytest.approx(after.start_s) and not before.spans
    (span,) = chunks[-1].spans
    assert (span.start, span.end, span.start_s) == (0, len(segment.text), 0.0)
    assert span.end_s == pytest.approx(chunks[-1].end_s)
    return np.concatenate([chunk.samples for chunk in chunks])


def hum(pitch: float, seconds: float = 1.0, rate: int = RATE) -> Recording:
    times = np.arange(round(seconds * rate)) / rate
    tone = sum(np.sin(2 * np.pi * pitch * n * times) / n for n in range(1, 9))
    return Recording((0.2 * np.asarray(tone)).astype(np.float32), rate)


async def test_engine_speaks_alone_as_beside_others(engine: PocketEngine) -> None:
    info = engine.info
    assert (info.name, info.sample_rate) == ("pocket", RATE)
    assert info.default_voices == {"de": "pocket:juergen"}
    alone = [await said(engine, segment_of(written)) for written in TEXTS]
    together = await asyncio.gather(*(said(engine, segment_of(written)) for written in TEXTS))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
    other = await said(engine, segment_of(sampling=Sampling(seed=4)))
    assert other.shape != alone[0].shape or np.abs(other - alone[0]).max() > 1e-3
    with pytest.raises(EngineFailed, match="no model of nl"):
        await said(engine, segment_of(language="nl"))


async def test_interrupted_streams_free_their_slots(engine: PocketEngine) -> None:
    async def interrupted(number: int) -> None:
        chunks = engine.synthesize(segment_of(TEXTS[1], sampling=Sampling(seed=number), max_seconds=20.0))
        async with aclosing(chunks):
            if number % 3:
                await anext(chunks)

    for _ in range(5):
        await asyncio.gather(*(interrupted(number) for number in range(40)))
    assert engine._scheduler is not None and engine._scheduler.counts == IDLE
    waiting = asyncio.create_task(said(engine, segment_of()))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert engine._scheduler.counts == IDLE
    assert len(await said(engine, segment_of()))


async def test_long_text_is_spoken_in_parts(engine: PocketEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    language = engine._model.languages["de"]
    written = "Ein Satz mit Worten. Noch ein Satz, mit Komma! " * 3
    parts = text.split(written, language.token_count)
    assert "".join(parts) == written and len(parts) > 2
    assert max(language.token_count(part) for part in parts) <= text.MAX_TOKENS
    endless = "a" * 400
    assert max(map(language.token_count, text.split(endless, language.token_count))) <= text.MAX_TOKENS
    assert len(await said(engine, segment_of(written, max_seconds=30.0))) > RATE


@pytest.mark.parametrize(
    ("language", "written", "prepared"),
    [
        ("de", "„wie bitte?“, sagte er", "Wie bitte? sagte er."),
        ("de", "eins; zwei —", "Eins, zwei."),
        ("es", "¿qué tal?", "Qué tal?"),
        ("en", "it’s (really) so:", "It's (really) so."),
        ("fr", "voici : un", "Voici , un."),
        ("nl", "  ja   ", "Ja."),
        ("de", "(„“)", ""),
    ],
)
def test_text_is_prepared_as_the_makers_do(language: str, written: str, prepared: str) -> None:
    assert text.prepare(written, PUBLISHED[language].replaced) == prepared


@pytest.mark.parametrize(("written", "frames"), [("eins zwei drei vier", 4), ("eins zwei drei vier fünf", 2)])
def test_few_words_get_more_time_to_end(written: str, frames: int) -> None:
    assert text.frames_after_end(written) == frames


def test_every_language_is_published() -> None:
    for published in PUBLISHED.values():
        revisions = (published.cloning_revision, published.open_revision, published.tokenizer_revision)
        assert all(len(revision) == 40 for revision in revisions) and published.voices


async def test_engine_speaks_like_a_recording(engine: PocketEngine) -> None:
    assert engine.info.cloning == "embedding"
    made = [await engine.embed(hum(pitch)) for pitch in (90, 210)]
    again = await engine.embed(hum(90))
    assert np.array_equal(made[0].values, again.values)
    assert (made[0].engine, made[0].model) == ("pocket", engine.info.embedding_model)
    own = await said(engine, segment_of())
    for embedding in made:
        cloned = await said(engine, segment_of(embedding=embedding))
        assert cloned.shape != own.shape or np.abs(cloned - own).max() > 1e-3


@pytest.mark.parametrize("samples", [np.zeros(RATE), np.full(RATE, 0.5), 1e-5 * hum(100).samples])
async def test_recording_without_speech_is_refused(engine: PocketEngine, samples: Samples) -> None:
    with pytest.raises(InvalidRequest, match="no speech"):
        await engine.embed(Recording(samples.astype(np.float32), RATE))


async def test_shortest_and_longest_recordings_are_embedded(engine: PocketEngine) -> None:
    short = await engine.embed(hum(100, seconds=0.1))
    assert len(short.values) == 3 * 32
    second = hum(100, rate=8_000)
    long = Recording(np.tile(second.samples, 600), second.sample_rate)
    assert len((await engine.embed(long)).values) == 4096


async def test_invalid_embedding_is_refused(engine: PocketEngine) -> None:
    good = await engine.embed(hum(100))
    values = good.values[1:], np.full(64, np.nan, np.float32), np.zeros(0, np.float32)
    for bad in ({"model": "another"}, {"engine": "kani"}, *({"values": each} for each in values)):
        with pytest.raises(InvalidRequest) as refused:
            await said(engine, segment_of(embedding=replace(good, **bad)))
        assert refused.value.field == "reference"


Damage = Callable[[Path], object]
VOICE = "embeddings/juergen.safetensors"


def rewritten(changed: dict[str, torch.Tensor | None], name: str = "model.safetensors") -> Damage:
    return lambda own: rewrite(own / name, changed)


def replaced(tensors: dict[str, torch.Tensor], name: str = "model.safetensors") -> Damage:
    return lambda own: rewrite(own / name, dict.fromkeys(load_file(own / name)) | tensors)


def cut(own: Path) -> None:
    weights = own / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])


def tampered(own: Path) -> None:
    """As the hub's cache has it: a link to a file that is named by its SHA-256."""
    weights = own / "model.safetensors"
    weights.symlink_to(weights.rename(own / ("0" * 64)))


LINEAR = "flow_lm.transformer.layers.1.linear1.weight"


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (
            lambda own: (own / "model.safetensors").unlink(),
            r"model\.safetensors is not there: KANI_POCKET_MODEL has to hold",
        ),
        (cut, r"model\.safetensors is not a whole safetensors file .*--fetch"),
        (rewritten({"flow_lm.out_eos.bias": None}), r"flow_lm\.out_eos\.bias is missing"),
        (rewritten({LINEAR: torch.ones(3, 128)}), rf"{LINEAR} has the shape \[3, 128\]"),
        (replaced({"model.norm": torch.ones(3)}), r"is not a checkpoint of Pocket TTS"),
        (
            rewritten({"flow_lm.conditioner.proj.weight": torch.ones(4)}),
            r"flow_lm\.conditioner\.proj\.weight \[4\] is not part of this model",
        ),
        (
            rewritten({"flow_lm.bos_emb": torch.full((32,), torch.nan)}),
            r"flow_lm\.bos_emb has numbers that are not finite",
        ),
        (tampered, r"fails its SHA-256"),
        (lambda own: (own / "tokenizer.json").write_text("{}"), r"tokenizer\.json is not a tokenizer"),
        (replaced({"x": torch.ones(1)}, VOICE), r"juergen\.safetensors is not a voice of this model"),
        (lambda own: (own / VOICE).unlink(), r"has no voice: put one into its folder embeddings/"),
        (None, r"is not here, and is not fetched unasked or with --no-fetch"),
    ],
)
async def test_wrong_files_are_named_with_a_cure(
    folder: Path, settings: PocketSettings, tmp_path: Path, damage: Damage | None, complaint: str
) -> None:
    own = shutil.copytree(folder, tmp_path / "own")
    if damage is not None:
        damage(own / "languages" / "german")
    given = settings.model_copy(update={"model": damage and str(own)})
    engine = PocketEngine(given, resources(tmp_path / "cache"))
    with pytest.raises(EngineUnavailable, match=complaint):
        await engine.start()
    await engine.stop()


async def test_languages_share_one_codec(reference: Reference, tmp_path: Path) -> None:
    write(tmp_path, reference)
    write(tmp_path, reference, "dutch", {"daan": torch.zeros(3, 32)})
    given = PocketSettings(languages=("de", "nl"), model=str(tmp_path), precision="float32")
    engine = PocketEngine(given, resources(tmp_path))
    await engine.start()
    try:
        assert dict(engine.info.default_voices) == {"de": "pocket:juergen", "nl": "pocket:daan"}
        dutch = segment_of(voice="pocket:daan", language="nl-BE")
        both = await asyncio.gather(said(engine, segment_of()), said(engine, dutch))
        assert all(map(len, both))
    finally:
        await engine.stop()
    rewrite(
        tmp_path / "languages" / "dutch" / "model.safetensors",
        {"mimi.decoder.model.11.conv.bias": torch.ones(1)},
    )
    with pytest.raises(EngineUnavailable, match="has another codec than de"):
        await PocketEngine(given, resources(tmp_path)).start()


async def test_int8_speaks_and_float32_is_the_judge(settings: PocketSettings, tmp_path: Path) -> None:
    """Its first frame, before differences add up."""
    made = []
    for precision in ("float32", "int8"):
        engine = PocketEngine(settings.model_copy(update={"precision": precision}), resources(tmp_path))
        await engine.start()
        made.append(await said(engine, segment_of(max_seconds=0.08)))
        await engine.stop()
    exact, rounded = (samples[:1500] for samples in made)
    assert 0 < np.abs(exact - rounded).max() < 0.1 * np.abs(exact).max()


async def test_server_speaks_by_pocket(folder: Path, start_server: StartServer) -> None:
    server = start_server(
        "--engine", "pocket", "--pocket-languages", "de", "--pocket-model", str(folder),
        "--language", "de", KANI_POCKET_PRECISION="float32",
    )  # fmt: skip
    assert "speaks   de (pocket de, float32)" in server.banner
    async with KaniTTSClient(server.host, server.port) as client:
        parts = [part async for part in client.stream("Guten Morgen!", {"language": "german"})]
    assert len(parts) > 1 and sum(len(part.pcm) for part in parts) > RATE // 4


OWN = replace(PUBLISHED["de"], cloning_revision="a" * 40, open_revision="b" * 40, tokenizer_revision="a" * 40)


@pytest.fixture
def published(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PUBLISHED, "de", OWN)
    monkeypatch.setattr("kani.engines.pocket.published._VOICES_REVISION", "b" * 40)
    names = [published.weights for published in (OWN, PUBLISHED["nl"])]
    hub.files = dict.fromkeys((*names, OWN.tokenizer, OWN.voice("juergen")), b"content")
    hub.repository = OPEN_REPOSITORY


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("account", [False, True])
def test_weights_that_clone_are_preferred(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch, account: bool
) -> None:
    """They are asked for only with an account; refused ones are replaced by those that do not clone."""
    monkeypatch.setattr("kani.engines.pocket.model.get_token", lambda: "hf_token")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_IMPLICIT_TOKEN", not account)
    lines: list[str] = []
    files = HubFiles(tmp_path, True, lines.append)
    found = _fetched(files, OWN)
    assert not found.clones and all(
        path.is_file() for path in (found.weights, found.tokenizer, found.voices["juergen"])
    )
    asked = [path for path in hub.asked if path.startswith(f"/api/models/{CLONING_REPOSITORY}/")]
    assert bool(asked) == any("cloning is disabled" in line for line in lines) == account
    assert any("an-open-licence" in line for line in lines)
    fetched = [path for path in hub.asked if "/resolve/" in path]
    assert not [path for path in fetched if "dutch" in path]
    assert languages_here(tmp_path, ["de", "nl"], fetched=True) == ("de",)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    assert _fetched(HubFiles(tmp_path, False, print), OWN) == found
    hub.repository = CLONING_REPOSITORY
    use_hub(monkeypatch, f"http://127.0.0.1:{hub.server_port}")
    again = _fetched(HubFiles(tmp_path, True, lines.append), OWN)
    assert again.clones == account


@pytest.mark.usefixtures("published")
def test_missing_network_or_revision_is_named(
    tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kani.engines.pocket.model.get_token", lambda: None)
    gone = replace(OWN, open_revision="c" * 40)
    with pytest.raises(CheckpointError, match=rf"no revision {OPEN_REPOSITORY}@{'c' * 40}"):
        _fetched(HubFiles(tmp_path, True, print), gone)
    use_hub(monkeypatch, "http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=r"cannot be fetched from the model hub .*network"):
        _fetched(HubFiles(tmp_path / "new", True, print), OWN)


STORED = "Guten Morgen!"


async def _recorded() -> bytes:
    """A recording of speech, which the store demands."""
    espeak = EspeakEngine()
    await espeak.start()
    segment = Segment("Dies ist meine eigene Stimme, und ich lese einige ganze Sätze vor.", "espeak:de", "de")
    samples = np.concatenate([chunk.samples async for chunk in espeak.synthesize(segment)])
    await espeak.stop()
    return wav(samples, espeak.info.sample_rate)


async def _spoken(engine: PocketEngine, recording: bytes | None) -> Samples:
    """The engine's own call, as the stored voice's recording is decoded."""
    embedding = None
    if recording is not None:
        embedding = await engine.embed(decode_recording(recording, sample_rate=REFERENCE_RATE))
    segment = Segment(STORED, "pocket:juergen", "de", sampling=Sampling(seed=3), embedding=embedding)
    return np.concatenate([chunk.samples async for chunk in engine.synthesize(segment)])


async def test_stored_voice_speaks_as_the_engine_does_with_its_recording(
    folder: Path, engine: PocketEngine, start_app: StartApp
) -> None:
    app = start_app(
        KANI_ENGINE="pocket",
        KANI_POCKET_LANGUAGES="de",
        KANI_POCKET_MODEL=str(folder),
        KANI_POCKET_PRECISION="float32",
    )
    recording = await _recorded()
    async with httpx.AsyncClient(base_url=app.http_url) as client:
        given = {"name": "ana", "consent": "Sie ist einverstanden.", "language": "de"}
        made = await client.post(
            "/v1/audio/voices", data=given, files={"audio": ("a.wav", recording, "audio/wav")}
        )
        assert made.status_code == 201, made.text
    async with opened(app.url) as client:
        cloned = await client.speak(STORED, voice_id="custom:ana", language="de", seed=3)
        own = await client.speak(STORED, voice_id="pocket:juergen", language="de", seed=3)
    assert cloned.last["result"]["cloning"] == "embedding" and own.last["result"]["cloning"] == "none"
    for answer, expected in (
        (cloned, await _spoken(engine, recording)),
        (own, await _spoken(engine, None)),
    ):
        # One step of 16 bits is rounding: the threads of two schedulers divide sums in their own ways.
        assert len(answer.samples) == len(expected)
        assert np.abs(answer.samples - np.clip(expected, -1, 1)).max() < 1e-4
    shorter = min(len(cloned.samples), len(own.samples))
    assert np.abs(cloned.samples[:shorter] - own.samples[:shorter]).max() > 1e-2
