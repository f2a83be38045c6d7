"""The Kani model: an LFM2 language model that emits NanoCodec frames; independent of the server."""

import os

# Read by OpenMP's runtime when torch loads it. It limits a waiting thread's spinning to a step's gap: where
# other processes want the cores too, longer spinning makes everything ten times slower.
os.environ.setdefault("GOMP_SPINCOUNT", "10000")
