"""The place of the stored voices: a folder, or a bucket."""
