"""Stands for moshi 0.2.13: a word is two frames of noise, and it hears the word "loud" in loud frames."""

import sys
import threading
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace as Part

import numpy as np
import torch

FRAME, CODEBOOKS, CARD, DELAY, FRAMES_A_WORD = 1_920, 4, 2_048, 2, 2
BEGIN, LOUD, PADDING = 0, 7, 3
STT_DELAY = 6


class _Module:
    device, n_q, dep_q, audio_offset, delays, card = "cpu", CODEBOOKS, CODEBOOKS, 1, [0] * 5, CARD
    text_padding_token_id, sample_rate, frame_size, frame_rate = PADDING, 24_000, FRAME, 12.5
    condition_provider = Part(prepare_and_provide=lambda attributes: attributes)

    def parameters(self) -> list:
        return []

    buffers = named_parameters = parameters

    def streaming(self, rows: int) -> object:
        assert rows == 1
        return nullcontext()

    def streaming_forever(self, rows: int) -> None:
        self.mask, self.queues = np.ones(rows, bool), [deque([PADDING] * STT_DELAY) for _ in range(rows)]
        self.was = np.zeros(rows, int)

    def set_exec_mask(self, mask: np.ndarray) -> None:
        self.mask = mask

    def reset_streaming(self, mask: np.ndarray) -> None:
        for row in np.flatnonzero(mask):
            self.queues[row], self.was[row] = deque([PADDING] * STT_DELAY), 0

    def decode(self, codes: np.ndarray) -> torch.Tensor:
        """Return the audio of one frame [1, codebooks, 1]; the last codebook is how loud it is."""
        assert codes.shape == (1, CODEBOOKS, 1) and (codes >= 0).all()
        noise = np.random.default_rng(int(codes.sum())).uniform(-1, 1, FRAME)
        loudness = max(codes[0, -1, 0] / CARD, 0.2)
        return torch.from_numpy((loudness * noise)[None, None].astype(np.float32))

    def encode(self, audio: np.ndarray) -> torch.Tensor:
        """Return codes [rows, codebooks, frames]: how loud each frame is."""
        frames = audio[..., : audio.shape[-1] // FRAME * FRAME].reshape(len(audio), 1, -1, FRAME)
        loudness = np.abs(frames).max(-1).clip(0, 1) * (CARD - 1)
        return torch.from_numpy(loudness.repeat(CODEBOOKS, 1).astype(np.int64))


class LMGen:
    """Steps of the model."""

    def __init__(self, lm: _Module, **given: object) -> None:
        self.lm, self.given, self.level = lm, given, CARD // 3
        self.streaming, self.streaming_forever = lm.streaming, lm.streaming_forever
        self.set_exec_mask, self.reset_streaming = lm.set_exec_mask, lm.reset_streaming

    def step(self, codes: np.ndarray, depformer_replace_tokens: np.ndarray | None = None) -> object:
        """Speak a frame; of a recogniser, do nothing."""
        if "on_text_hook" not in self.given:
            return None
        text = torch.zeros(1, dtype=np.int64)
        self.given["on_text_hook"](text)
        guidance = sum(coefficient for _, coefficient in self.given["condition_tensors"])
        drawn = torch.generator.randint(0, CARD, (1, CODEBOOKS))
        drawn[0, 0] = (drawn[0, 0] + 100 * guidance + 100 * self.given["temp"]) % CARD
        drawn[0, -1] = self.level
        made = drawn.copy()
        self.given["on_audio_hook"](made)
        if (made >= 0).all():
            # It goes on as loud as a recording was.
            self.level = made[0, -1]
        return torch.from_numpy(np.concatenate([text[None], made], 1)[..., None])

    def step_with_extra_heads(self, codes: np.ndarray) -> tuple:
        """Hear a frame of the chosen rows: tokens, and probabilities of pauses."""
        loud, tokens = codes[:, 0, 0] > CARD / 10, np.full(len(codes), PADDING)
        for row in np.flatnonzero(self.lm.mask):
            self.lm.was[row] = (self.lm.was[row] + 1) * loud[row]
            self.lm.queues[row].append({1: BEGIN, 2: LOUD}.get(self.lm.was[row], PADDING))
            tokens[row] = self.lm.queues[row].popleft()
        logits = np.eye(8)[tokens][:, None, None] * 9.0
        self.given["on_text_logits_hook"](torch.from_numpy(logits))
        return torch.from_numpy(tokens[:, None, None]), [np.where(loud, 0.0, 0.9)[:, None, None]] * 4


@dataclass
class State:
    """What of a script is left."""

    entries: deque = field(default_factory=deque)
    transcript: list = field(default_factory=list)
    end_step: int | None = None
    next_step: int = 2


class _Machine:
    token_ids, second_stream_ahead = Part(zero=-1, ungenerated=-2), 2

    def new_state(self, entries: list) -> State:
        return State(deque(entries))

    def process(self, step: int, state: State, token: int) -> tuple[int, bool]:
        """Begin the next word each two steps; "endless" lasts until the process is killed."""
        if step >= state.next_step and state.entries:
            if "endless" in str(state.entries[0]):
                threading.Event().wait()
            state.transcript.append((state.entries.popleft(), step))
            state.next_step = step + FRAMES_A_WORD
        elif step >= state.next_step and state.end_step is None:
            state.end_step = step
        return 0, True


@dataclass
class TTSModel:
    """The package's entry."""

    lm: _Module
    mimi: _Module
    n_q: int
    multi_speaker: bool
    delay_steps: int = DELAY
    machine: _Machine = field(default_factory=_Machine)
    tokenizer: None = None

    @classmethod
    def from_checkpoint_info(cls, info: object, n_q: int, **_: object) -> "TTSModel":
        return cls(_Module(), _Module(), n_q, info.multi_speaker)

    @property
    def valid_cfg_conditionings(self) -> set[float]:
        """The guidance that a model with embeddings knows."""
        return {1.0, 2.0, 3.0} if self.multi_speaker else set()

    def make_condition_attributes(self, voices: list, cfg_coef: float) -> object:
        return voices[0].read_bytes(), cfg_coef


def script_to_entries(tokenizer: None, tokens: object, rate: float, script: list, **_: object) -> list:
    return list(script)


def _delayed(codes: np.ndarray, delays: list[int], fill: int) -> torch.Tensor:
    out = np.full((len(codes), codes.shape[1] + max(delays)), fill)
    for row, delay in enumerate(delays):
        out[row, delay : delay + codes.shape[1]] = codes[row]
    return torch.from_numpy(out)


class CheckpointInfo:
    """A checkpoint's files."""

    lm_config, multi_speaker = {"dep_q": CODEBOOKS}, True

    @classmethod
    def from_hf_repo(cls, repository: str, **paths: object) -> "CheckpointInfo":
        found = cls()
        found.multi_speaker = "speaker_wavs" in paths["config_path"].read_text()
        return found

    def get_mimi(self, **_: object) -> _Module:
        return _Module()

    get_moshi = get_mimi

    def get_text_tokenizer(self) -> object:
        return Part(decode=lambda tokens: " loud" * tokens.count(LOUD))


tts = {"TTSModel": TTSModel, "script_to_entries": script_to_entries, "_delayed": _delayed}
tts["_make_null"] = list
MODULES = {"models": {"LMGen": LMGen, "loaders": Part(CheckpointInfo=CheckpointInfo)}, "models.tts": tts}
sys.modules |= {f"moshi.{name}": Part(**members) for name, members in MODULES.items()}
