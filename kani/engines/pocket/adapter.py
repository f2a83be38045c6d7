"""Pocket TTS's package, pocket-tts, in its own words. Runs only in its environment.

One segment is spoken at a time: the package is not safe for threads, and draws its noise from torch's one
generator.
"""

import hashlib
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kani.core.engine import Cloning, EngineInfo
from kani.core.errors import EngineFailed, EngineUnavailable, InvalidRequest
from kani.core.recent import Recent
from kani.core.types import Embedding, Samples, Voice
from kani.engines.packages.adapter import Spoken, Utterance, check_finite
from kani.engines.plugin import Resources

ENGINE = "pocket"
KEPT_VOICES = 32
MAX_FRAMES = 128
"""Frames of 80 ms in an embedding: those of the longest recording (``Package.recording_s``)."""


class Language(NamedTuple):
    """The model of one language, with its voices."""

    tag: str
    model: Any  # pocket_tts.TTSModel
    voices: Mapping[str, Path]  # files of its voices: keys and values of their recordings
    clones: bool
    temperature: float  # the model's own


class Pocket:
    """Models of several languages: a ``SpeechAdapter``."""

    def load(self, settings: Mapping[str, Any], resources: Resources) -> EngineInfo:
        import torch

        precision = resources.precision
        if precision not in ("float32", "int8"):
            precision = "int8" if "fbgemm" in torch.backends.quantized.supported_engines else "float32"
        self._languages = {
            tag: _loaded(tag, files, quantize=precision == "int8")
            for tag, files in settings["languages"].items()
        }
        self._cloning = [each for each in self._languages.values() if each.clones]
        self._states: Recent[Any, Any] = Recent(KEPT_VOICES)
        digests = {_digest(each.model) for each in self._languages.values()}
        if len(digests) > 1:
            raise EngineUnavailable(
                "the languages of Pocket TTS have different codecs: take all of one release, or only one "
                "language (KANI_POCKET_LANGUAGES)"
            )
        return self._describe(precision, digests.pop())

    def speak(self, utterance: Utterance) -> Generator[Spoken, None, None]:
        """Yield some frames of 80 ms at a time."""
        import torch

        segment = utterance.segment
        language = self._languages.get(segment.language.partition("-")[0])
        if language is None:
            raise EngineFailed(f"the Pocket engine has no model of {segment.language}")
        wanted = segment.sampling.temperature
        state = self._state(language, segment.voice.partition(":")[2], segment.embedding)
        language.model.temp = language.temperature if wanted is None else wanted
        torch.manual_seed(utterance.seed)
        stream = language.model.generate_audio_stream(state, segment.text, stop=utterance.stopped)
        try:
            for samples in stream:
                yield samples.numpy()
        except ValueError as error:
            # There is no voice if nothing of the text is left once it is prepared.
            if "cannot be empty" not in str(error):
                raise
        finally:
            # Its threads have ended once it has: the next segment's noise is not theirs.
            utterance.stopped.set()
            for _ in stream:
                pass

    def embed(self, samples: Samples) -> Samples:
        import torch
        from pocket_tts.data.audio_utils import end_on_pause

        model = self._cloning[0].model
        with torch.no_grad():
            ended = end_on_pause(torch.from_numpy(samples)[None], model.sample_rate)
            latents: Samples = model.mimi.encode_to_latent(ended[None]).float().flatten().numpy()
        return latents

    def _state(self, language: Language, name: str, embedding: Embedding | None) -> Any:
        """Return the state of a voice, which the package copies. Raises InvalidRequest."""
        if embedding is None:
            chosen = name if name in language.voices else next(iter(language.voices))
            path = language.voices[chosen]
            return self._states.made(path, lambda: language.model.get_state_for_audio_prompt(path))
        if not language.clones:
            raise InvalidRequest("reference", f"this Pocket model of {language.tag} does not clone voices")
        values = np.ascontiguousarray(embedding.values, np.float32)
        size = language.model.config.mimi.quantizer.dimension
        if len(values) % size or len(values) > MAX_FRAMES * size:
            allowed = f"finite numbers, a multiple of {size} and at most {MAX_FRAMES * size}"
            raise InvalidRequest("reference", f"an embedding has {allowed}")
        key = language.tag, hashlib.sha256(values.tobytes()).digest()
        return self._states.made(key, lambda: _imitated(language.model, values.reshape(-1, size)))

    def _describe(self, precision: str, digest: str) -> EngineInfo:
        voices: dict[str, Voice] = {}
        for tag, language in self._languages.items():
            for name in language.voices:
                shown = name.replace("_", " ").title()
                voices.setdefault(name, Voice(f"{ENGINE}:{name}", shown, tag, ENGINE))
        return EngineInfo(
            name=ENGINE,
            version=f"{'+'.join(self._languages)}, {precision}",
            sample_rate=next(iter(self._languages.values())).model.sample_rate,
            voices=tuple(voices.values()),
            default_voices={
                tag: f"{ENGINE}:{next(iter(language.voices))}" for tag, language in self._languages.items()
            },
            speed_range=(1.0, 1.0),
            supported_fields=frozenset({"temperature", "seed"}),
            streams_inside_segment=True,
            times_words=False,
            cloning=Cloning("embedding", f"{ENGINE} {digest}") if self._cloning else Cloning(),
        )


def _imitated(model: Any, latents: Samples) -> Any:
    """Return the state of a recording's latents [frames, size], as ``get_state_for_audio_prompt`` does."""
    import torch
    from pocket_tts.modules.stateful_module import init_states

    flow = model.flow_lm
    with torch.no_grad():
        prompt = torch.nn.functional.linear(torch.from_numpy(latents.copy())[None], flow.speaker_proj_weight)
        if flow.insert_bos_before_voice:
            prompt = torch.cat([flow.bos_before_voice, prompt], dim=1)
        state = init_states(flow, batch_size=1, sequence_length=prompt.shape[1])
        model._run_flow_lm_and_increment_step(model_state=state, audio_conditioning=prompt)
    return state


def _loaded(tag: str, files: Mapping[str, Any], *, quantize: bool) -> Language:
    """Load one language. Raises ValueError, and whatever the package raises."""
    from pocket_tts import TTSModel
    from pocket_tts.quantization import RECOMMENDED_CONFIG, apply_dynamic_int8
    from pocket_tts.utils.config import CONFIGS_DIR, load_config

    weights = Path(files["weights"])
    # A variant has its own beside it.
    config = weights.parent / "config.yaml"
    values = load_config(config if config.is_file() else CONFIGS_DIR / f"{files['name']}.yaml")
    values.weights_path, values.weights_path_without_voice_cloning = str(weights), None
    values.flow_lm.lookup_table.tokenizer_path = files["tokenizer"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, config.name)
        # JSON is YAML, too.
        path.write_text(values.model_dump_json(), "utf-8")
        model: Any = TTSModel.load_model(config=path)
    check_finite(model)
    clones = files["clones"] and bool(model.flow_lm.speaker_proj_weight.any())
    voices = {name: Path(path) for name, path in files["voices"].items()}
    for path in voices.values():
        _check_voice(model, path)
    if quantize:
        apply_dynamic_int8(model.flow_lm, RECOMMENDED_CONFIG)
    return Language(tag, model, voices, clones, model.temp)


def _check_voice(model: Any, path: Path) -> None:
    """Raise ValueError for a file that is no voice of a model: it would fail in speech."""
    from pocket_tts.modules.stateful_module import init_states

    state = model.get_state_for_audio_prompt(path)
    own = init_states(model.flow_lm, batch_size=1, sequence_length=1)
    if state.keys() != own.keys() or any(
        part.get("cache", own[name]["offset"]).shape[3:] != own[name]["cache"].shape[3:]
        for name, part in state.items()
    ):
        raise ValueError(f"{path} is not a voice of this model")


def _digest(model: Any) -> str:
    """Version of the encoder: of its last weights, which differ wherever a training did."""
    weights = model.mimi.downsample.conv.conv.weight.detach().contiguous().numpy()
    return hashlib.sha256(weights.tobytes()).hexdigest()[:12]
