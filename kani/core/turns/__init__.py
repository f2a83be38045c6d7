"""Turns of a conversation: where speech is, and whether a speaker has said all."""
