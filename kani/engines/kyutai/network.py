"""Kyutai's recogniser, one frame of 80 ms of many streams at a time: Mimi's encoder, then the language model.

The networks are transformers' own modules: they take positions, masks and caches as arguments, so that the
state of a stream can live outside them (``state.py``), and the checkpoints are published for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from kani.engines.kyutai.state import AttentionWindow, ConvolutionContext, Rows
from kani.engines.kyutai.step import Frame, StepResult, Stream, Token


class Network:
    """The encoder, the language model and the state of ``slots`` streams. One thread at a time."""

    def __init__(self, model: Any, pause_heads: Tensor | None, *, slots: int, first_token: int) -> None:
        """model: transformers' KyutaiSpeechToTextForConditionalGeneration, ready to run.

        pause_heads: [4, classes, hidden size], if the checkpoint has them; first_token: text before all text.
        """
        self.slots = slots
        self._codec = model.codec_model
        self._language_model = model.model
        self._head = model.lm_head
        self._first_token = first_token
        config, codec = model.config, model.codec_model.config
        self.frame_samples: int = codec.frame_size
        self._codec_step: int = codec.latent_stride
        self._codebooks: int = config.num_codebooks
        self._audio_begin: int = config.audio_bos_token_id
        weight = model.model.norm.weight
        self._device = weight.device
        self._pause_heads = None if pause_heads is None else pause_heads.to(self._device, weight.dtype)
        self._codec_window = _attention_window(codec, slots, self._codec_step, self._codec)
        self._text_window = _attention_window(config, slots, 1, model.model)
        self._contexts = _convolution_context(self._codec.encoder, slots)

    @property
    def bytes_per_stream(self) -> int:
        """Memory of one stream's state."""
        windows = self._codec_window.bytes_per_row + self._text_window.bytes_per_row
        return windows + self._contexts.bytes_per_row

    @torch.inference_mode()
    def step(self, frames: list[Frame]) -> list[StepResult]:
        """See ``StepNetwork.step``."""
        streams = [frame.stream for frame in frames]
        fresh = [stream for stream in streams if stream.position == 0]
        before = dict[int, Token]()
        codes = self._encode(frames)
        if fresh:
            silence = torch.full((len(fresh), self._codebooks), self._audio_begin, device=self._device)
            for stream in fresh:
                stream.token = self._first_token
            tokens, _ = self._advance(fresh, silence)
            before = {stream.row: token for stream, token in zip(fresh, tokens, strict=True)}
        tokens, pauses = self._advance(streams, codes)
        return [
            StepResult((before[stream.row], token) if stream.row in before else (token,), pause)
            for stream, token, pause in zip(streams, tokens, pauses, strict=True)
        ]

    def _encode(self, frames: Sequence[Frame]) -> Tensor:
        """Return Mimi's codes of the frames: [streams, codebooks]."""
        streams = [frame.stream for frame in frames]
        rows = self._rows(streams)
        fresh = [stream.position == 0 for stream in streams]
        starts = [max(stream.position - 1, 0) * self._codec_step for stream in streams]
        window = self._codec_window.call(rows, starts)
        samples = torch.from_numpy(np.stack([frame.samples for frame in frames])[:, None])
        encoded = self._codec.encode(
            samples.to(self._device, self._codec.dtype),
            num_quantizers=self._codebooks,
            encoder_past_key_values=window,
            padding_cache=self._contexts.call(rows, fresh),
            attention_mask=window.mask,
            position_ids=window.position_ids,
        )
        codes: Tensor = encoded.audio_codes[..., -1]
        return codes

    def _advance(
        self, streams: Sequence[Stream], codes: Tensor
    ) -> tuple[list[Token], list[tuple[float, float, float, float] | None]]:
        """Take one position of the language model for each stream; codes: [streams, codebooks]."""
        texts = torch.tensor([[stream.token] for stream in streams], device=self._device)
        window = self._text_window.call(self._rows(streams), [stream.position for stream in streams])
        hidden = self._language_model(
            input_ids=torch.cat([texts, codes], dim=1)[:, None],
            attention_mask=window.mask,
            position_ids=window.position_ids,
            past_key_values=window,
        ).last_hidden_state[:, 0]
        likeliest = functional.log_softmax(self._head(hidden).float(), dim=-1).max(dim=-1)
        tokens = []
        for stream, number, probability in zip(
            streams, likeliest.indices.tolist(), likeliest.values.tolist(), strict=True
        ):
            tokens.append(Token(number, stream.position, probability))
            stream.token = number
            stream.position += 1
        return tokens, self._pauses(hidden)

    def _pauses(self, hidden: Tensor) -> list[tuple[float, float, float, float] | None]:
        if self._pause_heads is None:
            return [None] * len(hidden)
        scores = torch.einsum("sh,pch->spc", hidden, self._pause_heads).float()
        # The first class of each head is that of a pause of its length.
        half, one, two, three = scores.softmax(-1)[..., 0].unbind(-1)
        return list(zip(half.tolist(), one.tolist(), two.tolist(), three.tolist(), strict=True))

    def _rows(self, streams: Sequence[Stream]) -> Rows:
        return Rows([stream.row for stream in streams], self._device)


def _attention_window(config: Any, slots: int, step: int, module: Any) -> AttentionWindow:
    return AttentionWindow(
        rows=slots,
        layers=config.num_hidden_layers,
        heads=config.num_key_value_heads,
        head_size=config.head_dim,
        window=config.sliding_window,
        step=step,
        device=module.device,
        dtype=module.dtype,
    )


def _convolution_context(encoder: Any, slots: int) -> ConvolutionContext:
    names = encoder.encoder_seanet._conv1d_layer_names
    layers = [*(encoder.encoder_seanet.get_submodule(name) for name in names), encoder.downsample]
    return ConvolutionContext(
        rows=slots,
        channels=[layer.in_channels for layer in layers],
        lengths=[int(layer.padding_total) for layer in layers],
        repeats_first=[layer.pad_mode == "replicate" for layer in layers],
        device=encoder.device,
        dtype=encoder.dtype,
    )
