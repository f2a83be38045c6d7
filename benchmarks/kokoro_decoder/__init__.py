"""Benchmarks of the decoder on LiteRT beside the one on onnxruntime."""
