"""espeak-ng in a process of its own: the fallback engine, and the reference voice of forced alignment."""
