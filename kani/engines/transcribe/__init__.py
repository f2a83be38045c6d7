"""transcribe.cpp as a recogniser: models of many makers in GGUF files, on the processor."""
