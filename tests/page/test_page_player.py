"""The jitter buffer, rendered offline by the browser: exact samples, late pieces, other rates, silence."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from playwright.sync_api import Page

Array = npt.NDArray[np.float64]

RATE = 24_000
HERTZ = 440.0

RENDER = """
  async ({ rate, seconds, messages }) => {
    const context = new OfflineAudioContext(1, Math.round(rate * seconds), rate);
    await context.audioWorklet.addModule("/static/player-worklet.js");
    const node = new AudioWorkletNode(context, "player", { numberOfInputs: 0, outputChannelCount: [1] });
    node.connect(context.destination);
    const told = [];
    let taken = null;
    node.port.onmessage = ({ data }) => (data.stream === "ask" ? taken() : told.push(data));
    // Until the audio thread has read what was sent, and its messages are here: each message calls one of its
    // methods, and a stream that is not the one that plays rests without any other effect than telling so.
    const answered = () => new Promise((answer) => {
      taken = answer;
      node.port.postMessage({ kind: "rest", id: "ask" });
    });
    const at = new Map();
    for (const [time, message] of messages) at.set(time, [...(at.get(time) ?? []), message]);
    for (const [time, some] of at) {
      context.suspend(time).then(async () => {
        for (const message of some) {
          if (message.samples) message.samples = new Int16Array(message.samples);
          node.port.postMessage(message);
        }
        await answered();
        context.resume();
      });
    }
    const sound = await context.startRendering();
    await answered();
    return { sound: [...sound.getChannelData(0)], told };
  }
"""


class Rendering:
    """Output of the worklet: its samples and its messages."""

    def __init__(self, answer: dict[str, Any], rate: int) -> None:
        self.sound: Array = np.array(answer["sound"])
        self.told: list[dict[str, Any]] = answer["told"]
        self.rate = rate

    @property
    def kinds(self) -> list[str]:
        return [note["kind"] for note in self.told]

    def time(self, kind: str, nth: int = 0) -> float:
        times: list[float] = [note["time"] for note in self.told if note["kind"] == kind]
        return times[nth]

    def between(self, start_s: float, end_s: float) -> Array:
        return self.sound[round(start_s * self.rate) : round(end_s * self.rate)]


def tone(seconds: float, rate: int = RATE, hertz: float = HERTZ) -> npt.NDArray[np.int16]:
    times = np.arange(round(seconds * rate)) / rate
    return np.round(16384 * np.sin(2 * np.pi * hertz * times)).astype(np.int16)


def stream(rate: int = RATE) -> dict[str, Any]:
    return {"kind": "start", "stream": 1, "rate": rate}


def piece(samples: npt.NDArray[np.int16]) -> dict[str, Any]:
    return {"kind": "samples", "stream": 1, "samples": samples.tolist()}


END = {"kind": "end", "stream": 1}

Messages = Sequence[tuple[float, dict[str, Any]]]


def render(page: Page, messages: Messages, *, rate: int = 48_000, seconds: float = 1.0) -> Rendering:
    """Let the browser render; messages: (when it comes, in seconds, the message)."""
    arguments = {"rate": rate, "seconds": seconds, "messages": [list(message) for message in messages]}
    return Rendering(page.evaluate(RENDER, arguments), rate)


def expected(rendering: Rendering, start_s: float, end_s: float, position_s: float) -> Array:
    """The tone as it should be heard from ``start_s`` to ``end_s``, if it is at ``position_s`` first."""
    count = len(rendering.between(start_s, end_s))
    times = position_s + np.arange(count) / rendering.rate
    return 0.5 * np.sin(2 * np.pi * HERTZ * times)


def steepest(samples: Array) -> float:
    return float(np.max(np.abs(np.diff(samples))))


STEEP = 0.5 * 2 * np.pi * HERTZ / 48_000
"""The largest step of the tone itself at 48 kHz."""


@pytest.mark.parametrize("size", [2048, 480, 37])
def test_pieces_that_follow_each_other_are_one_sound(modules: Page, size: int) -> None:
    samples = tone(0.5)
    pieces = [piece(samples[at : at + size]) for at in range(0, len(samples), size)]
    heard = render(modules, [(0.0, message) for message in [stream(), *pieces, END]])
    assert heard.kinds == ["playing", "sound", "ended"]
    assert heard.time("playing") == 0.0
    assert heard.time("ended") == pytest.approx(0.5, abs=0.001)
    error = heard.between(0.001, 0.498) - expected(heard, 0.001, 0.498, 0.001)
    assert np.max(np.abs(error)) < 0.5 * 10 ** (-70 / 20)


def test_at_its_own_rate_the_samples_are_untouched(modules: Page) -> None:
    samples = tone(0.3, 48_000)
    heard = render(modules, [(0.0, stream(48_000)), (0.0, piece(samples)), (0.0, END)])
    assert np.max(np.abs(heard.sound[: len(samples)] - samples / 32768)) < 1e-6
    assert not heard.sound[len(samples) :].any()


def test_a_late_piece_is_waited_for_without_a_click_and_nothing_is_lost(modules: Page) -> None:
    samples = tone(0.6)
    cut = 5000
    messages = [(0.0, stream()), (0.0, piece(samples[:cut])), (0.512, piece(samples[cut:])), (0.512, END)]
    heard = render(modules, messages, seconds=1.5)
    assert heard.kinds == ["playing", "sound", "dry", "playing", "ended"]
    dry, again = (note for note in heard.told[2:4])
    assert dry["position"] == again["position"]
    assert dry["position"] == pytest.approx(cut / RATE, abs=0.012)
    assert again["time"] == pytest.approx(0.512, abs=0.006)
    assert steepest(heard.sound) < 1.2 * STEEP
    assert not heard.between(dry["time"] + 0.001, again["time"]).any()
    after = again["time"] + 0.006
    rest = heard.between(after, heard.time("ended") - 0.002)
    position = again["position"] + round(after * 48_000) / 48_000 - again["time"]
    assert np.max(np.abs(rest - expected(heard, after, after + len(rest) / 48_000, position))) < 0.001
    assert heard.told[-1]["position"] == pytest.approx(0.6, abs=0.001)


def test_pieces_that_come_just_in_time_are_not_faded(modules: Page) -> None:
    samples = tone(0.9)
    size = 2048
    messages = [(0.0, stream())]
    for n, at in enumerate(range(0, len(samples), size)):
        # Each comes 10 ms before the one before it is at its end.
        messages.append((max(0.0, n * size / RATE - 0.010), piece(samples[at : at + size])))
    messages.append((messages[-1][0], END))
    heard = render(modules, messages, seconds=1.2)
    assert heard.kinds == ["playing", "sound", "ended"]
    error = heard.between(0.001, 0.898) - expected(heard, 0.001, 0.898, 0.001)
    assert np.max(np.abs(error)) < 0.001


def test_after_running_dry_it_waits_for_more_than_a_drop(modules: Page) -> None:
    samples = tone(0.6)
    messages = [
        (0.0, stream()),
        (0.0, piece(samples[:2400])),
        (0.512, piece(samples[2400:3000])),
        (0.768, piece(samples[3000:])),
        (0.768, END),
    ]
    heard = render(modules, messages, seconds=1.6)
    assert heard.kinds == ["playing", "sound", "dry", "playing", "ended"]
    assert heard.time("playing", 1) == pytest.approx(0.768, abs=0.006)


def test_stop_is_silence_within_six_milliseconds(modules: Page) -> None:
    messages = [(0.0, stream()), (0.0, piece(tone(0.9))), (0.256, {"kind": "stop"})]
    heard = render(modules, messages)
    assert heard.kinds == ["playing", "sound", "ended"]
    assert not heard.between(0.262, 1.0).any()
    assert steepest(heard.sound) < 1.2 * STEEP


def test_resampling_does_not_alias(modules: Page) -> None:
    for hertz, low, high in ((20_000.0, 0.0, 0.005), (1_000.0, 0.49, 0.51)):
        messages = [(0.0, stream(48_000)), (0.0, piece(tone(0.5, 48_000, hertz))), (0.0, END)]
        heard = render(modules, messages, rate=32_000)
        assert low <= np.max(np.abs(heard.between(0.05, 0.45))) <= high


def test_silence_at_the_beginning_is_not_taken_for_sound(modules: Page) -> None:
    samples = np.concatenate([np.zeros(4800, np.int16), tone(0.2)])
    heard = render(modules, [(0.0, stream()), (0.0, piece(samples)), (0.0, END)])
    assert heard.time("sound") == pytest.approx(0.2, abs=0.002)
