"""The published Kokoro-82M graph: a whole utterance in one run. What windows are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from typing_extensions import override

from kani.core.types import Segment
from kani.engines.kokoro.engine import KokoroEngine
from kani.engines.kokoro.lead_in import lead_in
from kani.engines.kokoro.network.norm_statistics import StatisticsTable
from kani.engines.kokoro.network.onnx_model import (
    Array,
    Network,
    RenderedUtterance,
    Stop,
    encoder_inputs,
    frame_counts,
)
from kani.engines.kokoro.network.parts import SplitModel
from kani.engines.kokoro.synthesizer import WindowedSynthesizer, trim_whole
from kani.engines.kokoro.text.phonemes import Utterance
from kani.engines.kokoro.timing import TRAILING_SILENCE_S, TimedAudio
from kani.engines.kokoro.voice_mix import voice_or_mix
from kani.engines.kokoro.voices import Voices
from kani.runtime import weights

_AUDIO = "audio"
_DURATIONS = "/encoder/Clip_output_0"


class WholeModel:
    """The published graph, loaded."""

    def __init__(self, onnx: bytes, threads: int) -> None:
        """Load the int8 export from its bytes (0.8 s). threads: as in ``Network``. Raises ModelFailed."""
        # An utterance needs 25 MB for each of its seconds.
        self._network = Network(onnx + _OUTPUT_FOR_DURATIONS, threads, shrink_arena=True)

    def render(self, symbols: str, style: Array, speed: float, stop: Stop) -> RenderedUtterance:
        """Synthesise ``symbols`` (1–510 of the vocabulary) in ``style`` [1, 256] at ``speed``.

        Blocks for a sixth to a third of the audio's length on two cores. Deterministic. Raises Stopped or
        ModelFailed.
        """
        samples, frames = self._network.run(encoder_inputs(symbols, style, speed), (_AUDIO, _DURATIONS), stop)
        return RenderedUtterance(np.asarray(samples, np.float32).ravel(), frame_counts(frames))


class WholeSynthesizer(WindowedSynthesizer):
    """Decodes an utterance at once with the published graph: the model's own samples."""

    def __init__(
        self, published: WholeModel, model: SplitModel, voices: Voices, statistics: StatisticsTable
    ) -> None:
        super().__init__(model, voices, statistics)
        self._published = published
        self._own_voices = voices

    @override
    def synthesize(
        self,
        utterance: Utterance,
        segment: Segment,
        stop: Stop,
        *,
        trailing_silence_s: float = TRAILING_SILENCE_S,
        in_steps: bool = True,
    ) -> Iterator[TimedAudio]:
        lead = lead_in(utterance, segment.language)
        symbols = lead + utterance.symbols
        style = self._own_voices.style(voice_or_mix(segment.voice), len(symbols))
        rendering = self._published.render(symbols, style, segment.speed, stop)
        yield trim_whole(rendering, utterance, lead, trailing_silence_s)


class WholeKokoroEngine(KokoroEngine):
    """Kokoro by the published graph: a sentence at a time, without clones or prosody of its own."""

    @override
    def _load(self) -> None:
        super()._load()
        assert self._model is not None
        resources = self._resources
        onnx = weights.load(
            weights.KOKORO,
            models_dir=resources.models_dir,
            cache_dir=resources.cache_dir,
            may_fetch=resources.may_fetch,
        )
        statistics = StatisticsTable.shipped([voice.id for voice in self._voices.all])
        published = WholeModel(onnx, self._threads)
        self._synthesizer = WholeSynthesizer(published, self._model, self._voices, statistics)
        self._info = replace(
            self.info,
            max_concurrency=self._concurrency,
            slots_are_streams=False,
            streams_inside_segment=False,
            pausable=False,
            accepts_partial_text=False,
            cloning="none",
            embedding_model="",
            native_prosody=frozenset(),
        )


def _message(number: int, content: bytes) -> bytes:
    """Encode a protocol-buffers field of length-delimited content below 128 bytes."""
    return bytes((number << 3 | 2, len(content))) + content


# The durations are a tensor inside the graph, but not one of its outputs. Concatenated protocol-buffers
# messages are merged (https://protobuf.dev/programming-guides/encoding/#last-one-wins), so a ModelProto is
# appended. Its graph (field 7) has nothing but one output (12) of that name (1) and of type (2) float tensor.
# This adds it without parsing and writing 92 MB. Field numbers: onnx.proto.
_FLOAT_TENSOR = _message(1, b"\x08\x01")
_OUTPUT_FOR_DURATIONS = _message(
    7, _message(12, _message(1, _DURATIONS.encode()) + _message(2, _FLOAT_TENSOR))
)
