"""One speech session, from text to audio: its worker, its slot, its output."""
