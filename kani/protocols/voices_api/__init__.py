"""The voices: their list, their previews, and those that clients store."""
