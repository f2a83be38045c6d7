"""Our network and text beside transformers' own model and the makers' package."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import PocketTTSAudioTokenizerConfig, PocketTTSConfig

from kani.engines.pocket import text
from kani.engines.pocket.codec import Codec
from kani.engines.pocket.model import SAMPLE_RATE, Language, PocketModel, load
from kani.engines.pocket.published import PUBLISHED
from kani.engines.pocket.recording import end_on_pause
from kani.engines.pocket.scheduler import Scheduler
from kani.engines.pocket.stream import Ending, Samples, Stream, Utterance
from tests.engines.pocket.random_pocket import FULL, Reference, random_reference, write
from tests.support import patience

TOLERANCE = 1e-4
TEXTS = (
    "Guten Morgen!", "Wie geht es dir heute?", "Das ist ein langer Satz, der nicht gleich endet.", "Ja.",
    "Morgen fahren wir ans Meer.", "Nein, danke.", "Der Zug kommt um acht.", "Bis bald!",
)  # fmt: skip


@pytest.fixture(scope="module")
def model(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> PocketModel:
    return load(["de"], str(folder), precision="float32", cache=tmp_path_factory.mktemp("cache"))


def utterance(
    language: Language, written: str, seed: int, limit: int = 24, *, ends: bool = True
) -> Utterance:
    """An utterance of at most ``limit`` frames; it has that many unless it ends. 24: within the lead."""
    tokens = tuple(language.tokens(written))
    voice = language.voices["juergen"]
    after = text.frames_after_end(written) if ends else limit
    return Utterance(language.model, voice, tokens, limit, after, 0.3, seed)


def expected(reference: Reference, spoken: Utterance) -> tuple[Tensor, Samples]:
    """Latents and samples by transformers' own ``generate``, from the same noise."""
    config = reference.speech.config
    latents = torch.ones(5, config.latent_dim)
    ids = [config.audio_prompt_bos_token_id, *[config.audio_prompt_token_id] * 5]
    ids += [*spoken.tokens, config.audio_bos_token_id]
    with torch.random.fork_rng(), torch.inference_mode():
        torch.manual_seed(spoken.seed)
        made = reference.speech.generate(
            input_ids=torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            audio_prompt_latents=latents[None],
            frames_after_eos=spoken.frames_after_end,
            max_new_tokens=spoken.max_frames,
            do_sample=True,
            temperature=spoken.temperature,
            return_dict_in_generate=True,
        ).audio_latents
        samples = reference.codec.decode(made).audio_values[0, 0].numpy().copy()
    fade = round(0.005 * SAMPLE_RATE)
    samples[:fade] *= np.linspace(0, 1, fade, dtype=np.float32)
    return made[0], samples


class Ear:
    """Collects the events of one stream."""

    def __init__(self) -> None:
        self.pieces: list[Samples] = []
        self.ending: Ending | None = None
        self.ended, self.heard = threading.Event(), threading.Event()

    def __call__(self, event: Samples | Ending) -> None:
        if isinstance(event, Ending):
            self.ending = event
            self.ended.set()
        else:
            self.pieces.append(event.copy())
            self.heard.set()

    def samples(self) -> Samples:
        assert self.ended.wait(patience.WITHIN_S)
        assert self.ending is Ending.FINISHED
        return np.concatenate(self.pieces)


@contextmanager
def running(model: PocketModel, slots: int = 8) -> Iterator[Scheduler]:
    scheduler = Scheduler(model.codec, slots=slots, sample_rate=SAMPLE_RATE, threads=1)
    scheduler.start()
    try:
        yield scheduler
    finally:
        scheduler.stop()


def test_streams_equal_transformers_alone_and_together(reference: Reference, model: PocketModel) -> None:
    """With joins, leaves and cancels, and more streams than slots; each frame's samples as they come."""
    language = model.languages["de"]
    wanted = [utterance(language, written, seed) for seed, written in enumerate(TEXTS)]
    judged = [expected(reference, each)[1] for each in wanted]
    assert len({len(samples) for samples in judged}) > 2, "speech has to end at different frames"
    assert any(len(samples) < 24 * model.codec.samples for samples in judged)
    with running(model, slots=6) as scheduler:
        alone = Ear()
        scheduler.submit(wanted[2], alone)
        np.testing.assert_allclose(alone.samples(), judged[2], atol=TOLERANCE)
        together = [Ear() for _ in wanted]
        cancelled = Ear(), Ear()
        streams = [
            scheduler.submit(utterance(language, TEXTS[2], 99, 400, ends=False), ear) for ear in cancelled
        ]
        for each, ear in zip(wanted[:5], together[:5], strict=True):
            scheduler.submit(each, ear)
        assert cancelled[0].heard.wait(patience.WITHIN_S)
        for each, ear in zip(wanted[5:], together[5:], strict=True):
            scheduler.submit(each, ear)
        for stream in streams:
            scheduler.cancel(stream)
        for ear, samples in zip(together, judged, strict=True):
            np.testing.assert_allclose(ear.samples(), samples, atol=TOLERANCE)
        for ear in cancelled:
            assert ear.ended.wait(patience.WITHIN_S) and ear.ending is Ending.CANCELLED
        assert scheduler.counts == {"waiting": 0, "running": 0}


@pytest.mark.parametrize("size", [1, 3, 7, 320])
def test_codec_equals_transformers_in_any_pieces(reference: Reference, model: PocketModel, size: int) -> None:
    """Beyond the window of attention and the cache that holds it; beside another stream."""
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(2, 43, 32, generator=generator)
    with torch.inference_mode():
        judged = reference.codec.decode(latents).audio_values[:, 0]
    states = [model.codec.new_state() for _ in latents]
    pieces = [model.codec.decode(piece, states) for piece in latents.split(size, 1)]
    torch.testing.assert_close(torch.cat(pieces, 1), judged, atol=TOLERANCE, rtol=0)


def test_recording_gives_the_latents_and_the_voice_of_transformers(
    reference: Reference, model: PocketModel
) -> None:
    """A recording of seconds beyond the window; the voice equals the published one of the same latents."""
    samples = torch.randn(24_000 * 3 + 700, generator=torch.Generator().manual_seed(1)) * 0.1
    padded = torch.nn.functional.pad(samples, (0, -len(samples) % 1920))
    with torch.inference_mode():
        judged = reference.codec.encode(padded[None, None]).latents[0]
    made = model.codec.encode(samples, lambda: False)
    assert made is not None
    torch.testing.assert_close(made, judged, atol=TOLERANCE, rtol=0)
    language = model.languages["de"]
    voice, published = language.voice_of(torch.ones(5, 32)), language.voices["juergen"]
    assert voice.length == published.length == 6
    torch.testing.assert_close(voice.values[..., :6, :], published.values[..., :6, :], atol=TOLERANCE, rtol=0)
    assert language.voice_of(torch.ones(5, 32)) is voice
    assert model.codec.encode(samples, lambda: True) is None


def test_recording_ends_on_a_pause() -> None:
    times = np.arange(24_000) / 24_000
    tone = (0.3 * np.sin(2 * np.pi * 200 * times)).astype(np.float32)
    ended = end_on_pause(np.concatenate((tone, np.zeros(12_000, np.float32))))
    assert len(ended) == 24_000 + 1920 and not ended[-1920:].any()
    assert np.array_equal(ended[:23_520], tone[:23_520])
    assert np.abs(ended[23_900:24_000]).max() < 0.1


def test_slow_listener_is_waited_for_and_others_go_on(model: PocketModel) -> None:
    """A stream is at most two seconds, and the frames of one call, ahead of its listener."""
    language = model.languages["de"]
    received: queue.SimpleQueue[Samples | Ending] = queue.SimpleQueue()
    with running(model, slots=2) as scheduler:
        slow = scheduler.submit(utterance(language, TEXTS[2], 99, 60, ends=False), received.put)
        for _ in range(3):
            quick = Ear()
            scheduler.submit(utterance(language, TEXTS[0], 1, 12), quick)
            quick.samples()
        total = 0
        while not isinstance(event := received.get(timeout=patience.WITHIN_S), Ending):
            total += len(event)
            assert slow.frames * model.codec.samples - slow.consumed <= 2 * SAMPLE_RATE + model.codec.samples
            scheduler.acknowledge(slow, len(event))
        assert total == 60 * model.codec.samples


def test_cancel_takes_effect_within_a_frame(model: PocketModel) -> None:
    language = model.languages["de"]
    seen: list[int] = []
    ended = threading.Event()
    holder: list[Stream] = []

    def listener(event: Samples | Ending) -> None:
        if isinstance(event, Ending):
            ended.set()
        elif not seen:
            seen.append(scheduler.steps)
            scheduler.cancel(holder[0])

    with running(model) as scheduler:
        holder.append(scheduler.submit(utterance(language, TEXTS[2], 5, 400, ends=False), listener))
        assert ended.wait(patience.WITHIN_S)
        done = scheduler.steps
        other = Ear()
        scheduler.submit(utterance(language, TEXTS[0], 1, 8), other)
        other.samples()
        # No step of the cancelled stream after the one that ran: the others' frames are all there are.
        assert scheduler.steps <= done + 1 + 8


@pytest.mark.heard
def test_full_size_equals_transformers(tmp_path: Path) -> None:
    reference = random_reference(FULL)
    write(tmp_path, reference)
    model = load(["de"], str(tmp_path), precision="float32", cache=tmp_path / "cache")
    assert model.codec.samples == 1920 and isinstance(model.codec, Codec)
    wanted = utterance(model.languages["de"], TEXTS[0], 4, 8)
    ear = Ear()
    with running(model) as scheduler:
        scheduler.submit(wanted, ear)
        np.testing.assert_allclose(ear.samples(), expected(reference, wanted)[1], atol=TOLERANCE)


JUDGE_PYTHON = os.environ.get("KANI_JUDGE_PYTHON", "")
JUDGE = Path(__file__).parents[2] / "judges" / "pocket_judge.py"
TO_PACKAGE = 1e-3
FRAMES = 24
SPOKEN = (
    "guten Morgen",
    "Wie geht es dir heute;",
    "»Das ist ein langer Satz«, der nicht gleich endet!",
    "Ja.",
)
WRITTEN = (
    *SPOKEN,
    "eins zwei drei vier",
    "eins zwei drei vier fünf,",
    "\"Bist du da?\", fragte er (leise): 'ja' – nein — doch …",
    "  zwei   Leerzeichen\nund ein Umbruch; dann Ende:",
    "¿Qué tal? ¡Bien!",
    "l’été, c'est 3,5 ou 4.5",
    "“Quoted” ‘text’ [here]",
)


@pytest.fixture(scope="module")
def judge() -> str:
    """The python of the judges."""
    if not JUDGE_PYTHON:
        pytest.skip("KANI_JUDGE_PYTHON names no python with pocket-tts")
    found = subprocess.run([JUDGE_PYTHON, "-c", "import importlib.util as u; u.find_spec('pocket_tts').name"])
    if found.returncode:
        pytest.skip("the python that KANI_JUDGE_PYTHON names has no pocket-tts")
    return JUDGE_PYTHON


def judged(judge: str, folder: Path, **job: Any) -> None:
    """Have the package do a job; what comes of it lies in ``folder``."""
    (folder / "job.json").write_text(json.dumps({"texts": {}, "spoken": []} | job), "utf-8")
    done = subprocess.run([judge, "-P", str(JUDGE), str(folder)], capture_output=True, text=True)
    assert not done.returncode, done.stderr


def configuration(speech: PocketTTSConfig, codec: PocketTTSAudioTokenizerConfig) -> dict[str, Any]:
    """The package's names of what a test's model has in sizes of its own."""
    return {
        "flow_lm": {
            "flow": {
                "depth": speech.flow_head_config.num_hidden_layers,
                "dim": speech.flow_head_config.hidden_size,
            },
            "transformer": {
                "d_model": speech.hidden_size,
                "num_heads": speech.num_attention_heads,
                "num_layers": speech.num_hidden_layers,
                "dim_feedforward": speech.intermediate_size,
            },
            "lookup_table": {"dim": speech.hidden_size},
        },
        "mimi": {
            "outer_dim": codec.hidden_size,
            "seanet": {"dimension": codec.hidden_size, "n_filters": codec.num_filters},
            "transformer": {
                "d_model": codec.hidden_size,
                "num_heads": codec.num_attention_heads,
                "dim_feedforward": codec.intermediate_size,
                "input_dimension": codec.hidden_size,
                "output_dimensions": [codec.hidden_size],
            },
            "quantizer": {"output_dimension": codec.hidden_size},
        },
    }


@torch.inference_mode()
def latents_of(wanted: Utterance) -> Samples:
    """Latents of an utterance, as the codec gets them: [frames, latent size]."""
    model, stream = wanted.language, Stream(wanted, lambda _: None)
    cache, condition = model.read_text(wanted.voice, wanted.tokens, wanted.max_frames)
    found = []
    while not stream.complete:
        frame = model.sample(condition, stream.draw_noise(model.latent_size)[None])
        stream.count_frame(frame.end_logits.item())
        found.append(model.to_codec(frame.latents))
        condition = model.advance([cache], frame.latents)
    return torch.cat(found).numpy()


def compare(judge: str, reference: Reference, folder: Path, scratch: Path) -> None:
    """Compare latents and samples of all texts with the package's, and the package's with transformers'."""
    job = {
        "config": configuration(reference.speech.config, reference.codec.config),
        "temperature": 0.3,
        "spoken": [{"text": each, "seed": seed, "frames": FRAMES} for seed, each in enumerate(SPOKEN)],
    }
    judged(judge, folder, **job)
    model = load(["de"], str(folder), precision="float32", cache=scratch)
    language = model.languages["de"]
    lengths = set()
    with running(model) as scheduler:
        for seed, each in enumerate(SPOKEN):
            wanted = utterance(language, text.prepare(each, language.replaced), seed, FRAMES)
            said = np.load(folder / f"{seed}.npz")
            made, samples = expected(reference, wanted)
            np.testing.assert_allclose(made.numpy(), said["latents"], rtol=0, atol=TO_PACKAGE)
            np.testing.assert_allclose(samples, said["samples"], rtol=0, atol=TO_PACKAGE)
            np.testing.assert_allclose(latents_of(wanted), said["latents"], rtol=0, atol=TO_PACKAGE)
            ear = Ear()
            scheduler.submit(wanted, ear)
            np.testing.assert_allclose(ear.samples(), said["samples"], rtol=0, atol=TO_PACKAGE)
            assert np.abs(said["samples"]).max() > 100 * TO_PACKAGE
            lengths.add(len(said["latents"]))
    assert len(lengths) > 1, "speech has to end at different frames"


@pytest.mark.server
def test_latents_and_samples_equal_those_of_the_package(
    judge: str, reference: Reference, folder: Path, tmp_path: Path
) -> None:
    compare(judge, reference, folder, tmp_path)


@pytest.mark.heard
def test_full_size_equals_the_package(judge: str, tmp_path: Path) -> None:
    reference = random_reference(FULL)
    compare(judge, reference, write(tmp_path, reference), tmp_path / "cache")


@pytest.mark.server
def test_texts_are_prepared_as_by_the_package(judge: str, tmp_path: Path) -> None:
    judged(judge, tmp_path, texts={published.folder: WRITTEN for published in PUBLISHED.values()})
    theirs = json.loads((tmp_path / "texts.json").read_text("utf-8"))
    for published in PUBLISHED.values():
        prepared = [text.prepare(each, published.replaced) for each in WRITTEN]
        ours = [[written, text.frames_after_end(written)] for written in prepared]
        assert ours == theirs[published.folder]
