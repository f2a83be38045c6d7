"""NanoCodec: frames of tokens to audio."""
