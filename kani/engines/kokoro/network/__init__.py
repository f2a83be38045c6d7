"""Kokoro's graph: cut into subgraphs, run by onnxruntime, decoded window by window."""
