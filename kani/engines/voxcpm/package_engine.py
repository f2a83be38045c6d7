"""VoxCPM in the environment of its package: the engine of the worker's process."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest, NoSpeech
from kani.core.types import Embedding, Recording, Samples, Segment, Span, SpeechChunk, Voice
from kani.engines.plugin import Resources
from kani.engines.voxcpm import environment, published
from kani.engines.voxcpm.parameters import Parameters
from kani.runtime.cancelling import wait_until_done
from kani.runtime.silence_trim import SilenceTrimmer

if TYPE_CHECKING:
    from kani.engines.voxcpm.model import Patches, Prompt, Utterance, VoxCPMModel

ENGINE = "voxcpm"
AUDIBLE = 0.004
"""A peak below this (−48 dB of full scale) is silence."""

MAX_VOICES = 64
"""Sessions that keep their first segment, at most 24 s of latents each."""


def build(settings: Mapping[str, Any], resources: Resources) -> PackageEngine:
    """Build the engine from what the server's ``VoxCPMEngine`` sends."""
    return PackageEngine(Path(settings["folder"]), resources.device, settings["denoiser"])


class PackageEngine:
    """One model, one segment at a time, computed by one thread."""

    def __init__(self, folder: Path, device: str, denoiser: str | None = None) -> None:
        """folder: of the checkpoint; device: auto, cpu, mps, cuda or cuda:N; denoiser: folder of the
        ZipEnhancer model.
        """
        self._folder = folder
        self._device = device
        self._denoiser = denoiser
        self._model: VoxCPMModel | None = None
        self._info: EngineInfo | None = None
        # The package's compiled graphs belong to the thread that made them.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=ENGINE)
        self._made: OrderedDict[str, Prompt] = OrderedDict()

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        if self._info is None:
            raise RuntimeError("the engine has not been started")
        return self._info

    async def start(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        loop = asyncio.get_running_loop()
        self._model = await loop.run_in_executor(self._thread, self._load)
        self._info = self._describe(self._model)

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        await asyncio.to_thread(self._thread.shutdown)
        self._model = None

    def _load(self) -> VoxCPMModel:
        try:
            from kani.engines.voxcpm.model import VoxCPMModel

            return VoxCPMModel(self._folder, self._device, self._denoiser)
        except ImportError as error:
            raise EngineUnavailable(
                f"the VoxCPM engine cannot import its package ({error}): pip install -r "
                f"{environment.REQUIREMENTS} in its environment"
            ) from error

    async def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; a chunk for each patch of 80 or 160 ms, with one span in the last one.

        Raises InvalidRequest for options out of range and for an embedding that is not the model's, and
        EngineFailed where the model produced no speech for the text.
        """
        rate = self.info.sample_rate
        utterance = self._utterance(segment)
        trim, made = SilenceTrimmer(rate, AUDIBLE), 0
        latents: list[Any] = []
        async with aclosing(self._steps(utterance)) as steps:
            async for patches in steps:
                latents.append(patches.latents)
                trimmed = trim.feed(patches.samples)
                if len(trimmed):
                    yield SpeechChunk(trimmed, rate, made / rate)
                    made += len(trimmed)
        if not made:
            raise EngineFailed("the VoxCPM model could not speak this text: there was no voice")
        if utterance.prompt is None:
            self._keep(segment, latents)
        rest = trim.finish()
        spans = (Span(0, len(segment.text), 0.0, (made + len(rest)) / rate),)
        yield SpeechChunk(rest, rate, made / rate, spans)

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``: latents of a recording at the model's own rate, denoised ones too
        where there is a denoiser.
        """
        work = asyncio.get_running_loop().run_in_executor(self._thread, self._encode, recording)
        try:
            values = await asyncio.shield(work)
        except asyncio.CancelledError:
            await wait_until_done(work)
            raise
        return Embedding(ENGINE, self.info.embedding_model, values)

    async def refine(
        self, recording: Recording, embedding: Embedding, language: str
    ) -> AsyncGenerator[Embedding, None]:
        """See ``CloningEngine.refine``; yields nothing: the model was trained with just these latents."""
        better: tuple[Embedding, ...] = ()
        for one in better:
            yield one

    def _encode(self, recording: Recording) -> Samples:
        model = self._running()
        if recording.sample_rate != model.encode_rate:
            raise EngineFailed(f"the VoxCPM engine encodes recordings at {model.encode_rate} Hz")
        parts = [model.encode(recording.samples)]
        if model.denoises:
            parts.append(model.encode(_denoised(model, recording)))
        values: Samples = np.concatenate([part.float().numpy().ravel() for part in parts])
        if not np.isfinite(values).all():
            raise NoSpeech()
        return values

    def _utterance(self, segment: Segment) -> Utterance:
        """Return what the model is to speak. Raises InvalidRequest."""
        from kani.engines.voxcpm.model import Utterance

        model, parameters = self._running(), Parameters.of(segment.options)
        prompt: Prompt | None
        if segment.embedding is not None:
            prompt = self._prompt(model, segment.embedding, parameters)
        elif parameters.prompt_text:
            raise InvalidRequest("prompt_text", "is the transcript of a recording: there is none")
        else:
            prompt = self._made.get(segment.session)
        seed = segment.sampling.seed
        return Utterance(
            # As the package does it.
            text=" ".join(segment.text.split()),
            parameters=parameters,
            prompt=prompt,
            # One patch more than fits: by that the core knows that speech was cut.
            max_patches=ceil(segment.max_seconds / model.patch_s - 1e-6) + 1,
            seed=secrets.randbits(63) if seed is None else seed,
        )

    def _prompt(self, model: VoxCPMModel, embedding: Embedding, parameters: Parameters) -> Prompt:
        import torch

        from kani.engines.voxcpm.model import Prompt

        if (embedding.engine, embedding.model) != (ENGINE, self.info.embedding_model):
            raise InvalidRequest("reference", "the embedding was made by another model")
        values = np.asarray(embedding.values, np.float32)
        parts = 1 + model.denoises
        if values.ndim != 1 or len(values) % (parts * np.prod(model.latent_shape)) or not len(values):
            raise InvalidRequest("reference", "the embedding is not one of this model")
        each = values.reshape(parts, -1, *model.latent_shape)
        latents = each[1 if parameters.denoise and model.denoises else 0].copy()
        return Prompt(torch.from_numpy(latents), parameters.prompt_text)

    def _keep(self, segment: Segment, latents: list[Any]) -> None:
        """Let the next segments of a session speak in the voice that the model chose for the first one."""
        import torch

        from kani.engines.voxcpm.model import Prompt

        if segment.session:
            # A space, which no language without it minds.
            self._made[segment.session] = Prompt(torch.cat(latents), f"{segment.text.strip()} ")
            while len(self._made) > MAX_VOICES:
                self._made.popitem(last=False)

    async def _steps(self, utterance: Utterance) -> AsyncGenerator[Patches, None]:
        """Yield what the model makes; closed early, returns once the model has stopped."""
        from kani.engines.voxcpm.model import Stopped

        loop, stopping = asyncio.get_running_loop(), False
        steps = self._running().speak(utterance, lambda: stopping)
        try:
            while (made := await loop.run_in_executor(self._thread, next, steps, None)) is not None:
                yield made
        except Stopped:
            raise EngineFailed("the VoxCPM engine was stopped") from None
        finally:
            stopping = True
            # After the step that may be running.
            closing = loop.run_in_executor(self._thread, steps.close)
            await wait_until_done(closing)

    def _running(self) -> VoxCPMModel:
        if self._model is None:
            raise EngineFailed("the VoxCPM engine is not running")
        return self._model

    def _describe(self, model: VoxCPMModel) -> EngineInfo:
        languages = published.LANGUAGES["voxcpm2" if model.is_second else "voxcpm"]
        version = f"{'VoxCPM2' if model.is_second else 'VoxCPM'} {self._folder.name[:12]}"
        used = {"seed", "prompt_text", "cfg_value", "inference_timesteps", "retry_badcase"}
        used |= {"retry_badcase_max_times", "retry_badcase_ratio_threshold"}
        return EngineInfo(
            name=ENGINE,
            version=version,
            sample_rate=model.sample_rate,
            voices=tuple(Voice(f"{ENGINE}:{tag}", f"VoxCPM ({tag})", tag, ENGINE) for tag in languages),
            default_voices={tag: f"{ENGINE}:{tag}" for tag in languages},
            max_concurrency=1,
            speed_range=(1.0, 1.0),
            supported_fields=frozenset(used | ({"denoise"} if model.denoises else set())),
            streams_inside_segment=True,
            times_words=False,
            cloning="embedding",
            embedding_model=f"{version}{', denoised' if model.denoises else ''}, 1",
            keeps_voices=True,
        )


def _denoised(model: VoxCPMModel, recording: Recording) -> Samples:
    """Denoise a recording. Runs through files: the denoiser takes no samples."""
    import soundfile
    import soxr

    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "recording.wav"), Path(folder, "denoised.wav")
        soundfile.write(source, recording.samples, recording.sample_rate)
        model.denoise(source, target)
        samples, rate = soundfile.read(target, dtype="float32", always_2d=True)
    mono: Samples = soxr.resample(samples.mean(1), rate, recording.sample_rate).astype(np.float32)
    return mono
