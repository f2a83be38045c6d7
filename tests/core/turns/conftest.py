"""Fixtures that the tests of the engines have, too."""

from tests.engines.conftest import onnx_engine

__all__ = ["onnx_engine"]
