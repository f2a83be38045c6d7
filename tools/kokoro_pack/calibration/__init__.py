"""Finds the levels of a generator's int8 convolutions from speech that is computed in float32."""
