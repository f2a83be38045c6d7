"""The language model's own kernels for processors with int8 dot products: compiled where they run."""
