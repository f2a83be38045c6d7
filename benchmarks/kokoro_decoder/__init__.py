"""Benchmarks of the int8 decoder beside the ONNX one."""
