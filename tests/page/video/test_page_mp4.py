"""The page's MP4 files, of packets that FFmpeg's encoders make, run by Node and read by FFmpeg."""

from __future__ import annotations

import base64
import io
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from tests.page.test_page_modules import run

WIDTH, HEIGHT, RATE = 320, 180, 48_000
SHOWN_AT = (0, 3, 4, 30)
"""Frames of a thirtieth of a second: the picture stands still between them."""
SECONDS = 1.5
BT709 = 1

BODY = """
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));
for (const track of [a[0].pictures, a[0].sound]) {
  track.config.description &&= bytes(track.config.description);
  for (const sample of track.samples) sample.data = bytes(sample.data);
}
return Buffer.from(await m.mp4(a[0]).arrayBuffer()).toString("base64");
"""


def packed(data: bytes) -> str:
    """Bytes as JSON takes them."""
    return base64.b64encode(data).decode()


def track(frames: list[Any], name: str, encoder: dict[str, Any], container: str) -> dict[str, Any]:
    """Encode frames; what WebCodecs would give to the page: the samples and the description."""
    file = io.BytesIO()
    with av.open(file, "w", container) as made:
        stream = made.add_stream(name, **encoder)
        for frame in [*frames, None]:
            made.mux(stream.encode(frame))
    file.seek(0)
    with av.open(file) as made:
        stream = made.streams[0]
        samples = [
            {
                "at": round(1e6 * packet.pts * packet.time_base),
                "key": packet.is_keyframe,
                "data": packed(bytes(packet)),
            }
            for packet in made.demux(stream)
            if packet.size
        ]
        first = samples[0]["at"]
        samples = [{**sample, "at": sample["at"] - first} for sample in samples]
        return {"samples": samples, "config": {"description": packed(stream.codec_context.extradata or b"")}}


def pictures(codec: str) -> dict[str, Any]:
    """A square that stands elsewhere in each picture."""
    frames = []
    for n, at in enumerate(SHOWN_AT):
        pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
        pixels[40:100, 20 + 70 * n : 80 + 70 * n] = 255
        frames.append(av.VideoFrame.from_ndarray(pixels, "rgb24"))
        frames[-1].pts, frames[-1].time_base = at, Fraction(1, 30)
    options = {"bf": "0"} if codec == "libx264" else {"lag-in-frames": "0", "auto-alt-ref": "0"}
    shape = {"width": WIDTH, "height": HEIGHT, "pix_fmt": "yuv420p", "rate": 30, "options": options}
    made = track(frames, codec, shape, "mp4")
    made["config"]["codec"] = "avc1.42E028" if codec == "libx264" else "vp09.00.40.08"
    made["config"]["colorSpace"] = {"primaries": "bt709", "transfer": "bt709", "matrix": "bt709"}
    return made


def sound(codec: str) -> dict[str, Any]:
    """A tone that begins after half a second."""
    at = np.arange(round(SECONDS * RATE)) / RATE
    frame = av.AudioFrame.from_ndarray(
        (np.sin(2 * np.pi * 440 * at) * (at > 0.5) * 0.5).astype("f4")[None], "fltp", "mono"
    )
    frame.sample_rate = RATE
    made = track([frame], codec, {"rate": RATE, "layout": "mono"}, "ogg" if codec == "libopus" else "mp4")
    name = "opus" if codec == "libopus" else "mp4a.40.2"
    made["config"] |= {"codec": name, "sampleRate": RATE, "numberOfChannels": 1}
    return made


@pytest.mark.parametrize(("seen", "heard"), [("libx264", "aac"), ("libvpx-vp9", "libopus")])
def test_file_has_all_pictures_and_the_sound(seen: str, heard: str) -> None:
    video = {"width": WIDTH, "height": HEIGHT, "seconds": SECONDS}
    file = base64.b64decode(run("mp4.js", BODY, {**video, "pictures": pictures(seen), "sound": sound(heard)}))
    with av.open(io.BytesIO(file)) as made:
        assert made.duration == pytest.approx(1e6 * SECONDS, abs=1e4)
        stream = made.streams.video[0]
        assert (stream.width, stream.height) == (WIDTH, HEIGHT)
        assert stream.codec_context.colorspace == BT709
        frames = list(made.decode(stream))
        assert [round(30 * frame.time) for frame in frames] == [*SHOWN_AT]
        for n, frame in enumerate(frames):
            lit = np.nonzero(frame.to_ndarray(format="gray")[70] > 128)[0]
            assert lit.mean() == pytest.approx(50 + 70 * n, abs=2)
    with av.open(io.BytesIO(file)) as made:
        samples = np.concatenate([frame.to_ndarray()[0] for frame in made.decode(audio=0)])
    # AAC says nowhere how many samples come before its sound.
    late = 0.05 if heard == "aac" else 0.001
    begins = np.nonzero(np.abs(samples) > 0.1)[0][0] / RATE
    assert 0.5 <= begins + 0.001 <= 0.501 + late
