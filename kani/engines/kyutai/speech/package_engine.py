"""Kyutai's text-to-speech in the environment of its package: the engine of the worker's process."""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kani.core.engine import EngineInfo
from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest, NoSpeech, UnknownVoice
from kani.core.types import Embedding, Recording, Samples, Segment, SpeechChunk
from kani.core.types import Voice as NamedVoice
from kani.engines.kyutai.speech import environment, published
from kani.engines.kyutai.speech.batch import Missing, StreamBatch
from kani.engines.kyutai.speech.script import STEP_S, Script, TimedSpeech
from kani.engines.plugin import Resources
from kani.runtime.cancelling import wait_until_done

if TYPE_CHECKING:
    from kani.engines.kyutai.speech.model import SpeechModel, Voice
    from kani.text.incremental_text import IncrementalText

ENGINE = "kyutai"
TEMPERATURE = 0.6
"""The package's own, of text and audio."""

RECORDING_S = 10.0
"""Seconds of a recording that are used, as those of Kyutai's own voices have."""

MAX_SESSIONS = 64
"""Sessions that keep the voice of their first segment, 10 s of codes each."""

MAX_VOICES = 1000
_RECORDINGS = (".wav", ".mp3", ".flac", ".ogg")


def build(settings: Mapping[str, Any], resources: Resources) -> PackageEngine:
    """Build the engine from what the server's ``KyutaiEngine`` sends."""
    return PackageEngine(settings, resources)


class PackageEngine:
    """One model, a batch of streams, computed by one thread."""

    def __init__(self, settings: Mapping[str, Any], resources: Resources) -> None:
        """settings: ``folder`` of the checkpoint, ``voices`` (folder or None), ``suffix`` of its embeddings'
        names, ``slots`` (or None) and ``cfg``.
        """
        self._settings = settings
        self._resources = resources
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=ENGINE)
        self._slots = 1
        self._growing = 0
        self._voices: dict[str, Path] = {}
        self._made: OrderedDict[str, Any] = OrderedDict()
        self._model: SpeechModel | None = None
        self._batch: StreamBatch | None = None
        self._info: EngineInfo | None = None

    @property
    def info(self) -> EngineInfo:
        """See ``Engine.info``; RuntimeError before ``start`` has returned."""
        if self._info is None:
            raise RuntimeError("the engine has not been started")
        return self._info

    async def start(self) -> None:
        """Load the model. Raises EngineUnavailable."""
        self._model = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)
        self._batch = StreamBatch(self._model, self._thread)
        self._info = self._describe(self._model)

    async def stop(self) -> None:
        """See ``Engine.stop``."""
        await asyncio.to_thread(self._thread.shutdown)
        self._model = self._batch = None

    def _load(self) -> SpeechModel:
        try:
            import torch

            from kani.engines.kyutai.speech.model import SpeechModel
            from kani.runtime.device import find_device
            from kani.runtime.errors import DeviceError

            resources = self._resources
            if resources.threads is not None:
                torch.set_num_threads(resources.threads)
            try:
                device = find_device(resources.device)
            except DeviceError as error:
                raise EngineUnavailable(f"the Kyutai engine cannot start: {error}") from error
            on_cuda = device.type == "cuda"
            self._slots = self._settings["slots"] or (8 if on_cuda else 1)
            precision = resources.precision
            if precision == "auto":
                precision = "bfloat16" if on_cuda else "float32"
            if precision not in ("float32", "bfloat16"):
                raise EngineUnavailable(
                    f"KANI_PRECISION={precision}: the Kyutai engine has float32 and bfloat16"
                )
            # As many rows again are for texts that are being written: they keep theirs while they wait.
            model = SpeechModel(
                Path(self._settings["folder"]),
                str(device),
                precision,
                2 * self._slots,
                float(self._settings["cfg"]),
            )
            self._voices = self._find_voices(model)
            try:
                model.start(next(iter(self._voices.values())) if model.has_embeddings else None)
            except EngineFailed as error:
                raise EngineUnavailable(f"{error} (KANI_KYUTAI_VOICES)") from error
        except ImportError as error:
            raise EngineUnavailable(
                f"the Kyutai engine cannot import its package ({error}): pip install -r "
                f"{environment.REQUIREMENTS} in its environment"
            ) from error
        return model

    def _find_voices(self, model: SpeechModel) -> dict[str, Path]:
        """Return the files of the voices' folder by name. Raises EngineUnavailable."""
        folder = self._settings["voices"]
        suffixes = (self._settings["suffix"],) if model.has_embeddings else _RECORDINGS
        found = dict[str, Path]()
        for path in sorted(Path(folder).rglob("*")) if folder is not None else ():
            suffix = next((each for each in suffixes if path.name.endswith(each)), None)
            if suffix is not None and path.is_file() and len(found) < MAX_VOICES:
                # As Kyutai names both: "ears/p003/freeform_speech_01.wav".
                name = path.relative_to(folder).as_posix()
                found[name.removesuffix(suffix) if model.has_embeddings else name] = path
        if model.has_embeddings and not found:
            raise EngineUnavailable(
                f"there is no voice of this model in {folder}: its files end with {suffixes[0]} "
                "(KANI_KYUTAI_VOICES)"
            )
        return found

    def _voice_of(self, name: str, guidance: float | None, codes: Any) -> Voice:
        """Return a voice by its name, "" for the one that the model chooses. Runs in the model's thread.

        codes: of a request's recording, or None. Raises EngineFailed for a file that cannot be used.
        """
        model = self._running().model
        path = self._voices[name] if name else None
        if path is not None and not model.has_embeddings:
            codes, path = self._recorded(model, path), None
        return model.voice(path, guidance, codes)

    def _recorded(self, model: SpeechModel, path: Path) -> Any:
        import sphn

        try:
            samples, _ = sphn.read(path, sample_rate=model.sample_rate)
        except (OSError, ValueError, RuntimeError) as error:
            raise EngineFailed(f"the voice {path.name} cannot be read ({type(error).__name__})") from error
        return model.encode(samples.mean(0)[: round(RECORDING_S * model.sample_rate)])

    def synthesize(self, segment: Segment) -> AsyncGenerator[SpeechChunk, None]:
        """See ``Engine.synthesize``; a chunk for each frame of 80 ms, and a span for each word.

        Raises InvalidRequest for an option that the model does not have, and EngineFailed where the model
        produced no speech for the text.
        """
        return self._speak(segment, None)

    async def stream(self, segment: Segment, written: IncrementalText) -> AsyncGenerator[SpeechChunk, None]:
        """See ``StreamingInputEngine.stream``: a word is spoken once those that the model reads ahead are
        there.

        Where as many texts as there are slots are being spoken while they are written, another one is spoken
        once it is complete.
        """
        growing = self._growing < self._slots
        self._growing += growing
        try:
            while not growing and written.boundary is None:
                await written.wait_for_more(len(written.text))
            async with aclosing(self._speak(segment, written)) as chunks:
                async for chunk in chunks:
                    yield chunk
        finally:
            self._growing -= growing

    async def _speak(
        self, segment: Segment, written: IncrementalText | None
    ) -> AsyncGenerator[SpeechChunk, None]:
        rate, script, batch = self.info.sample_rate, Script(), self._running()
        voice = await self._voice(segment)
        seed, temperature = segment.sampling.seed, segment.sampling.temperature
        async with batch.stream(
            voice,
            seed=secrets.randbits(63) if seed is None else seed,
            temperature=TEMPERATURE if temperature is None else temperature,
        ) as stream:
            if segment.session and not batch.model.has_embeddings and voice.prefix is None:
                stream.stream.kept_frames = round(RECORDING_S / STEP_S)
            speech = TimedSpeech(rate, script, stream.word_steps)
            while speech.end_s <= segment.max_seconds:
                text, complete = segment.text, True
                if written is not None:
                    text, complete = written.text, written.boundary is not None
                stream.feed(script.take(text, complete=complete), complete=complete)
                frame = await stream.next()
                if frame is Missing.NOTHING:
                    break
                if isinstance(frame, Missing):
                    assert written is not None
                    await written.wait_for_more(len(text))
                    continue
                start_s = speech.end_s
                audio, spans = speech.feed(frame)
                if len(audio):
                    yield SpeechChunk(audio, rate, start_s, spans)
        if not speech.made:
            raise EngineFailed("the Kyutai model could not speak this text: there was no voice")
        self._keep(segment.session, stream.stream.codes)
        start_s = speech.end_s
        rest, spans = speech.finish()
        yield SpeechChunk(rest, rate, start_s, spans)

    def _keep(self, session: str, codes: list[Any]) -> None:
        """Let the next segments of a session continue the voice that the model chose for the first one."""
        if codes:
            import torch

            self._made[session] = torch.stack(codes, 1)
            while len(self._made) > MAX_SESSIONS:
                self._made.popitem(last=False)

    async def embed(self, recording: Recording) -> Embedding:
        """See ``CloningEngine.embed``: codes of a recording at the model's own rate."""
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
        """See ``CloningEngine.refine``; yields nothing: the model was trained with just these codes."""
        better: tuple[Embedding, ...] = ()
        for one in better:
            yield one

    def _encode(self, recording: Recording) -> Samples:
        model = self._running().model
        if recording.sample_rate != model.sample_rate:
            raise EngineFailed(f"the Kyutai engine encodes recordings at {model.sample_rate} Hz")
        codes: Samples = model.encode(recording.samples).numpy().astype(np.float32).ravel()
        if not len(codes):
            raise NoSpeech()
        return codes

    async def _voice(self, segment: Segment) -> Voice:
        """Return the voice of a segment. Raises InvalidRequest and EngineFailed."""
        model = self._running().model
        guidance = self._guidance(segment)
        name, codes = segment.voice.removeprefix(f"{ENGINE}:"), None
        if segment.embedding is not None:
            name, codes = "", self._codes(model, segment.embedding)
        elif name in published.DEFAULT_VOICES and not model.has_embeddings:
            name, codes = "", self._made.get(segment.session)
        elif name not in self._voices:
            raise UnknownVoice(segment.voice)
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._voice_of, name, guidance, codes)

    def _codes(self, model: SpeechModel, embedding: Embedding) -> Any:
        import torch

        if (embedding.engine, embedding.model) != (ENGINE, self.info.embedding_model):
            raise InvalidRequest("reference", "the embedding was made by another model")
        values = np.asarray(embedding.values)
        # Clients may send embeddings: a code that the model lacks would end the speech of all streams.
        known = ((values >= 0) & (values < model.code_limit)).all()
        most = round(RECORDING_S / STEP_S) * model.codebooks
        if not 0 < len(values) <= most or len(values) % model.codebooks or not known:
            raise InvalidRequest("reference", "the embedding is not one of this model")
        return torch.from_numpy(values.astype(np.int64)).view(model.codebooks, -1)

    def _guidance(self, segment: Segment) -> float | None:
        """Return the request's guidance, or the server's. Raises InvalidRequest."""
        from kani.engines.kyutai.speech.model import describe_guidance

        model = self._running().model
        asked = segment.options.get("cfg_alpha")
        if asked is None or not model.guidance_choices:
            return model.guidance
        if not isinstance(asked, int | float):
            raise InvalidRequest("cfg_alpha", "has to be a number")
        if float(asked) not in model.guidance_choices:
            raise InvalidRequest("cfg_alpha", describe_guidance(float(asked), model.guidance_choices))
        return float(asked)

    def _running(self) -> StreamBatch:
        if self._batch is None:
            raise EngineFailed("the Kyutai engine is not running")
        return self._batch

    def _default(self, tag: str) -> str:
        wanted = [*published.DEFAULT_VOICES[tag], *(name for name in self._voices if _language(name) == tag)]
        return next(name for name in (*wanted, *self._voices) if name in self._voices)

    def _describe(self, model: SpeechModel) -> EngineInfo:
        folder = Path(self._settings["folder"])
        version = f"{folder.name[:12]}{self._settings['suffix'].removesuffix('.safetensors')}"
        voices = [NamedVoice(f"{ENGINE}:{name}", name, _language(name), ENGINE) for name in self._voices]
        if model.has_embeddings:
            defaults = {tag: self._default(tag) for tag in published.DEFAULT_VOICES}
        else:
            # The published checkpoint of this kind speaks English, in the voice that it chooses.
            defaults = {"en": "en"}
            voices.insert(0, NamedVoice(f"{ENGINE}:en", "Kyutai (en)", "en", ENGINE))
        used = {"seed", "temperature"} | ({"cfg_alpha"} if model.guidance_choices else set())
        return EngineInfo(
            name=ENGINE,
            version=version,
            sample_rate=model.sample_rate,
            voices=tuple(voices),
            default_voices={tag: f"{ENGINE}:{name}" for tag, name in defaults.items()},
            max_concurrency=self._slots,
            speed_range=(1.0, 1.0),
            supported_fields=frozenset(used),
            streams_inside_segment=True,
            accepts_partial_text=True,
            cloning="none" if model.has_embeddings else "embedding",
            embedding_model="" if model.has_embeddings else f"{version}, 1",
            keeps_voices=not model.has_embeddings,
        )


def _language(name: str) -> str:
    return "fr" if any(part in f"/{name}" for part in published.FRENCH) else "en"
