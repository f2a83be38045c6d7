"""The text of recognised speech, before clients see it."""
