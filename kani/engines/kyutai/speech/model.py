"""A loaded model of Kyutai's package: a batch of streams, each with its own text, voice and seed.

Runs only in the environment of the package, in one thread at a time. The package steps a batch of streams of
different ages (``LMGen`` with ``support_out_of_sync``, as Kyutai's own server uses it); for one text it does
what ``TTSModel.generate`` does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError

from kani.core.errors import EngineFailed, EngineUnavailable
from kani.core.types import Samples
from kani.engines.kyutai.speech.loading import load
from kani.engines.kyutai.speech.sampling import Draw, Sampler
from kani.engines.kyutai.speech.script import Word

SKIPPED_FRAMES = 2
"""Frames at the beginning that the package leaves out, as they click."""

PADDING_BETWEEN = 1
"""Steps between two words besides those of the word's tokens, as the package's ``simple_generate`` has it."""


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice to speak with."""

    added: Any = None
    """Sum that is added to each step, [passes, 1, size], where the model has such conditions."""
    read: Any = None
    """Part that each step reads of the published embedding, [passes, positions, size]."""
    prefix: Any = None
    """Codes of a recording that the speech continues, [codebooks, frames]."""


@dataclass(slots=True)
class Stream:
    """One text that is spoken, in its row of the batch."""

    row: int
    voice: Voice
    seed: int
    temperature: float
    new_words: deque[Word] = field(default_factory=deque)
    complete: bool = False
    """True if no more words come."""
    step: int = 0
    state: Any = None  # moshi.models.tts.State
    generator: torch.Generator = field(default_factory=torch.Generator)
    ended: bool = False
    kept_frames: int = 0
    """Frames of its audio, from the first on, that it keeps the codes of."""
    codes: list[Any] = field(default_factory=list)
    """Those codes: a tensor of each frame, [codebooks]."""

    @property
    def prefix_frames(self) -> int:
        """Frames of the voice's recording."""
        return 0 if self.voice.prefix is None else int(self.voice.prefix.shape[1])


class SpeechModel:
    """One checkpoint on one device, and the batch of its streams."""

    def __init__(self, folder: Path, device: str, precision: str, rows: int, guidance: float) -> None:
        """Load the checkpoint of a folder.

        device: cpu, cuda or cuda:N; precision: float32 or bfloat16; rows: streams at once; guidance:
        coefficient of classifier-free guidance, 1 for none. Raises ImportError and EngineUnavailable.
        """
        self._tts: Any = load(folder, device, precision)
        from moshi.models import lm, tts
        from moshi.modules.transformer import StreamingMultiheadAttention

        self._codebooks = int(self._tts.lm.dep_q)
        self._new_state, self._new_entry = self._tts.machine.new_state, tts.Entry
        self._null = tts._make_null
        self.guidance_choices: frozenset[float] = frozenset(self._tts.valid_cfg_conditionings)
        """Values of the guidance of a voice; empty for a model that has it not as a condition."""
        self.guidance = self._choose_guidance(guidance)
        """The server's guidance of voices, None for such a model."""
        # A model without the condition takes two passes, with and without text and voice.
        self._coefficient = 1.0 if self.guidance_choices else guidance
        self.has_embeddings: bool = self._tts.multi_speaker
        self.sample_rate = int(self._tts.mimi.sample_rate)
        self.rows = rows
        self._attentions = [
            module
            for module in self._tts.lm.modules()
            if isinstance(module, StreamingMultiheadAttention) and module.cross_attention
        ]
        network = self._tts.lm
        texts, codes = network.text_linear.out_features, network.card
        self._sampler = Sampler(rows, self._codebooks, texts, codes, network.device)
        lm.sample_token = self._sampler
        self._generator_type = lm.LMGen
        self._lm_gen: Any = None
        self._stepping: dict[int, Stream] = {}

    def _choose_guidance(self, wanted: float) -> float | None:
        if not self.guidance_choices:
            return None
        if wanted not in self.guidance_choices:
            raise EngineUnavailable(f"KANI_KYUTAI_CFG: {describe_guidance(wanted, self.guidance_choices)}")
        return wanted

    @property
    def lookahead(self) -> int:
        """Words after the one that begins that the model reads ahead."""
        return int(self._tts.machine.second_stream_ahead)

    @torch.no_grad()
    def start(self, embedding: Path | None) -> None:
        """Begin the batch with a first step, which the package needs to make its memories.

        embedding: file of any published voice. Raises EngineFailed for one that cannot be used.
        """
        mimi, device = self._tts.mimi, self._tts.lm.device
        self._lm_gen = self._generator_type(
            self._tts.lm,
            temp=self._tts.temp,
            temp_text=self._tts.temp,
            cfg_coef=self._coefficient,
            condition_tensors=self._provide(embedding, self.guidance, self.rows),
            on_text_hook=self._choose_text,
            on_audio_hook=self._choose_audio,
            support_out_of_sync=True,
            cfg_is_masked_until=None if self._coefficient == 1.0 else [self._never_masked] * self.rows,
            cfg_is_no_text=True,
        )
        self._delays = self._lm_gen.delays_cuda[1 : 1 + self._codebooks]
        # The model's input has no codebooks besides those that it makes.
        missing = self._tts.lm.n_q - self._codebooks
        self._input = torch.full((self.rows, missing, 1), -1, dtype=torch.long, device=device)
        self._no_audio = torch.full((self.rows, self._codebooks, 1), -1, dtype=torch.long, device=device)
        self._lm_gen.streaming_forever(self.rows)
        mimi.streaming_forever(self.rows)
        frame = self._lm_gen.step(self._input)
        mimi.decode(frame[:, 1:].clamp(min=0))

    @property
    def _never_masked(self) -> int:
        # Below every step: nothing of the second pass is masked where there is no recording.
        return -1 - int(max(self._tts.lm.delays))

    @torch.no_grad()
    def voice(self, embedding: Path | None, guidance: float | None, prefix: Any = None) -> Voice:
        """Return a voice.

        embedding: file of a published one; guidance: of ``guidance_choices``; prefix: a recording's codes.
        Raises EngineFailed for a file that cannot be used.
        """
        fuser = self._tts.lm.fuser
        if fuser is None:
            return Voice(prefix=prefix)
        given = self._provide(embedding, guidance, 1)
        added, read = fuser.get_sum(given), fuser.get_cross(given)
        state = self._lm_gen._streaming_state
        for new, old in ((added, state.condition_sum), (read, state.condition_cross)):
            if new is not None and new.shape[1:] != old.shape[1:]:
                name = embedding.name if embedding is not None else "without a name"
                raise EngineFailed(f"the voice {name} has another size than the others")
        return Voice(added, read, prefix)

    def _provide(self, embedding: Path | None, guidance: float | None, count: int) -> Any:
        """Return the conditions of so many equal streams, and of their second passes. Raises EngineFailed."""
        provider = self._tts.lm.condition_provider
        attributes: list[Any] = []
        if provider.conditioners:
            paths = [] if embedding is None else [embedding]
            try:
                one = self._tts.make_condition_attributes(paths, cfg_coef=guidance)
            except (OSError, ValueError, KeyError, AssertionError, RuntimeError, SafetensorError) as error:
                # Its sentence would show a path.
                name = embedding.name if embedding is not None else "without a name"
                raise EngineFailed(f"the voice {name} cannot be read ({type(error).__name__})") from error
            attributes = [one] * count
        if self._coefficient != 1.0:
            attributes += self._null(attributes)
        return provider.prepare_and_provide(attributes)

    @torch.no_grad()
    def encode(self, samples: Samples) -> Any:
        """Return the codes of a recording at ``sample_rate``, [codebooks, frames]; see ``get_prefix``."""
        mimi = self._tts.mimi
        audio = torch.from_numpy(np.ascontiguousarray(samples)).to(self._tts.lm.device)
        batch = mimi.get_streaming_state()
        mimi.set_streaming_state(dict.fromkeys(batch))
        try:
            codes = mimi.encode(audio[None, None])[0, :, :-2]
        finally:
            mimi.set_streaming_state(batch)
        return codes.cpu()

    @property
    def codebooks(self) -> int:
        """Codes of a frame."""
        return self._codebooks

    @property
    def code_limit(self) -> int:
        """The number after a codebook's last code; the first one is 0."""
        return int(self._tts.lm.card)

    def ready(self, stream: Stream) -> bool:
        """Return True if a stream can make a step: the words that it reads ahead are there.

        Without them the package would take the text to have ended.
        """
        waiting = len(stream.new_words) + (0 if stream.state is None else len(stream.state.entries))
        return not stream.ended and (stream.complete or waiting > self.lookahead)

    def word_steps(self, stream: Stream) -> list[int]:
        """Return the frame of the stream's audio that each word begins with, of the words that have begun."""
        first = SKIPPED_FRAMES + stream.prefix_frames
        transcript = () if stream.state is None else tuple(stream.state.transcript)
        return [step - first for _, step in transcript]

    @torch.no_grad()
    def step(self, streams: Sequence[Stream]) -> list[Samples | None]:
        """Make one step of 80 ms for some streams that are ready; returns their audio, where there is some.

        Raises RuntimeError.
        """
        tts, lm_gen = self._tts, self._lm_gen
        for stream in streams:
            if stream.state is None:
                self._begin(stream)
            self._read(stream)
        self._stepping = {stream.row: stream for stream in streams}
        delay, longest = tts.delay_steps, lm_gen.max_delay
        silent = all(stream.step < delay for stream in streams)
        self._sampler.draw(
            Draw(stream.row, stream.generator, audio=stream.step >= delay) for stream in streams
        )
        lm_gen.set_exec_mask(self._mask(streams))
        frame = lm_gen.step(self._input, depformer_replace_tokens=self._no_audio if silent else None)
        codes = frame[:, 1:].clamp(min=0)
        audible = [stream for stream in streams if stream.step - longest >= delay]
        audio: dict[int, Samples] = {}
        if audible:
            tts.mimi.set_exec_mask(self._mask(audible))
            decoded = tts.mimi.decode(codes).clip(-1, 1)[:, 0].float().cpu().numpy()
            audio = {stream.row: decoded[stream.row].copy() for stream in audible}
        return [
            self._finish_step(stream, audio.get(stream.row), codes[stream.row, :, 0]) for stream in streams
        ]

    def _finish_step(self, stream: Stream, audio: Samples | None, codes: Any) -> Samples | None:
        at = stream.step - self._lm_gen.max_delay - self._tts.delay_steps - SKIPPED_FRAMES
        stream.step += 1
        end = stream.state.end_step
        if end is not None and stream.step >= end + self._tts.delay_steps + self._tts.final_padding:
            stream.ended = True
        if audio is None or at < stream.prefix_frames or (end is not None and at >= end):
            return None
        if len(stream.codes) < stream.kept_frames:
            stream.codes.append(codes.cpu())
        return audio

    def _mask(self, streams: Iterable[Stream]) -> Any:
        mask = torch.zeros(self.rows, dtype=torch.bool)
        mask[[stream.row for stream in streams]] = True
        return mask.to(self._tts.lm.device)

    def _begin(self, stream: Stream) -> None:
        stream.state = self._new_state([])
        stream.generator.manual_seed(stream.seed)
        self._sampler.begin(stream.row, stream.temperature)
        mask = self._mask([stream])
        self._lm_gen.reset_streaming(mask)
        self._tts.mimi.reset_streaming(mask)
        state, rows = self._lm_gen._streaming_state, [stream.row]
        if self._coefficient != 1.0:
            rows.append(self.rows + stream.row)
            frames = stream.prefix_frames
            state.cfg_is_masked_until[stream.row] = (
                frames + self._tts.delay_steps if frames else self._never_masked
            )
        voice = stream.voice
        if voice.added is not None:
            state.condition_sum[rows] = voice.added.to(state.condition_sum)
        if voice.read is not None:
            read = voice.read.to(state.condition_cross)
            state.condition_cross[rows] = read
            for attention in self._attentions:
                keys, values = attention._compute_cross_attention(read, read)
                attention._streaming_state.k_cross[rows] = keys
                attention._streaming_state.v_cross[rows] = values

    def _read(self, stream: Stream) -> None:
        """Let the package have a stream's new words."""
        state = stream.state
        while stream.new_words:
            word = stream.new_words.popleft()
            tokens = self._tts.tokenizer.encode(word.written)
            if self.has_embeddings and not state.transcript and not state.entries:
                tokens.insert(0, self._tts.machine.token_ids.main)
            padding = max(0, PADDING_BETWEEN + len(tokens) - 1)
            state.entries.append(self._new_entry(tokens=tokens, text=word.written, padding=padding))

    def _choose_text(self, tokens: Any) -> None:
        chosen = tokens.tolist()
        for row, stream in self._stepping.items():
            if stream.step < stream.prefix_frames:
                chosen[row] = self._tts.machine.token_ids.zero
            else:
                chosen[row], _ = self._tts.machine.process(stream.step, stream.state, chosen[row])
        tokens[:] = torch.tensor(chosen, dtype=torch.long, device=tokens.device)

    def _choose_audio(self, tokens: Any) -> None:
        for row, stream in self._stepping.items():
            # The frame that each codebook's token belongs to, negative before the audio begins.
            frames = stream.step - self._tts.delay_steps - self._delays
            tokens[row].masked_fill_(frames < 0, self._tts.machine.token_ids.zero)
            if stream.prefix_frames and stream.step >= self._tts.delay_steps:
                given = (frames >= 0) & (frames < stream.prefix_frames)
                books = torch.arange(self._codebooks, device=tokens.device)
                prefix = stream.voice.prefix.to(tokens.device)
                recorded = prefix[books, frames.clamp(0, stream.prefix_frames - 1)]
                tokens[row] = torch.where(given, recorded, tokens[row])


def describe_guidance(value: float, choices: Iterable[float]) -> str:
    """Return the rest of a sentence about a guidance that a model does not have."""
    known = ", ".join(f"{each:g}" for each in sorted(choices))
    return f"{value:g} is none of this model's ({known})"
