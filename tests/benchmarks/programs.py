"""The programs of benchmarks/, and those without a test of their smallest part."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

HELPERS = {
    "kani.nemo",
    "kokoro.mos",
    "kokoro.picture",
    "kokoro_decoder.picture",
    "pocket.package",
    "text.language_detection_peers",
    "text.normalizer_peers",
    "timing.alignment_picture",
    "voices.emotions_picture",
    "voices.nearest_voice_judge",
}
"""Scripts that a program starts, most of them in the judges' environment; they have no command line."""

NOT_RUN = {
    "conversations.judged_sounds": "Kokoro and Whisper for two hundred sounds: many minutes",
    "conversations.many_turns": "conversations at the pace of speech: an hour",
    "conversations.over_answers": "sounds at the pace of speech over answers: minutes",
    "kani": "the whole model, with random weights: gigabytes and minutes",
    "kani.quality": "the Kani model's weights",
    "kokoro_decoder.checkpoint": "a calibration: minutes",
    "kokoro.first_audio": "a second Kokoro in its own process: above what the tests may take",
    "kokoro.rival": "the package kokoro-onnx",
    "kokoro.rivals": "the package kokoro-onnx",
    "kokoro.streaming": "a hundred sentences decoded in two ways: many minutes",
    "kokoro.student": "Kokoro beside its student, three judges and servers: many minutes",
    "kokoro.student.taught": "a folder of the training of a student: hours",
    "kokoro_data.calibrate": "it writes into kani/engines/kokoro/data; minutes",
    "kokoro_data.pitches": "it writes into kani/engines/kokoro/data; minutes",
    "kokoro_data.probe": "it writes into kani/engines/kokoro/data",
    "kokoro_data.statistics": "it writes into kani/engines/kokoro/data; a quarter of an hour",
    "kokoro_data.student": "the wheel hibari-tts",
    "kokoro_data.surrogate": "it writes into kani/engines/kokoro/data; hours",
    "kokoro_data.voices": "the source distribution kokoro",
    "kokoro_decoder": "both decoders, one after the other: many minutes",
    "kokoro_decoder.dequantize": "a file of 330 MB",
    "kokoro_decoder.rival": "the package kokoro-onnx",
    "pocket": "the weights of Pocket TTS, and its package",
    "recognition.diarization": "Kokoro for a hundred sentences: many minutes",
    "recognition.kyutai_steps": "a model of a billion random parameters: gigabytes and minutes",
    "recognition.languages": "two engines and Whisper in its process: above what the tests may take",
    "recognition.noise": "files of three wheels, and Whisper for hundreds of recordings: many minutes",
    "recognition.people": "recordings of people, which are not in this repository",
    "recognition.recordings": "Whisper in several ways, and its memory: above what the tests may take",
    "recognition.turns": "Kokoro and Whisper for two hundred sentences: many minutes",
    "recognition.whisper.sizes": "checkpoints that transformers makes: half a minute, a gigabyte",
    "server.conversation": "conversations at the pace of speech: minutes",
    "server.endurance": "hours; the weights of Pocket TTS and VoxCPM2, and a GPU",
    "server.idle_unload": "Kokoro and Whisper, each loaded twice: above what the tests may take",
    "server.installation": "environments into which everything is installed anew",
    "server.memory": "hundreds of requests that a default server of its own answers: many minutes",
    "server.outgoing": "strace, and an empty home in which the decoder is prepared anew: minutes",
    "server.page": "as server.page_words, and a minute of Kokoro",
    "server.page_listening": "as server.page_words, and minutes of Kokoro and Whisper",
    "server.page_load": "as server.page_words, while the processor is kept busy",
    "server.page_pictures": "the pictures of the documentation, of every part of the page: minutes",
    "server.ray_serve": "the package ray",
    "text.short_replies": "nine servers, one after the other, each with Wyoming's port: minutes",
    "timing.alignment": "Kokoro by the ONNX decoder, and Whisper: above what the tests may take",
    "voices.nearest_voice": "the packages of tests/judges/requirements-judges.txt, and hours",
}
"""What each of these needs: they are only asked for their help."""


def _is_program(file: Path) -> bool:
    """Return true if a file does something when it is run."""
    body = ast.parse(file.read_text(encoding="utf-8")).body
    return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in body)


def programs() -> list[str]:
    """Names of the programs that have a command line: ``python -m benchmarks.NAME``."""
    folder = ROOT / "benchmarks"
    found = {
        ".".join(file.relative_to(folder).with_suffix("").parts).removesuffix(".__main__")
        for file in folder.rglob("*.py")
        if _is_program(file)
    }
    return sorted(found - HELPERS)
