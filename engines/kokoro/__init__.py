"""Kokoro-82M: natural speech in five languages on a CPU, by onnxruntime."""
