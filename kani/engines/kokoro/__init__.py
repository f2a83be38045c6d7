"""Kokoro-82M: natural speech in eight languages on a CPU, by onnxruntime."""
