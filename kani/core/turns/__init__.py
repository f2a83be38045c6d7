"""Turns of a conversation: where speech is, whether a speaker has said all, and what interrupts an answer."""
