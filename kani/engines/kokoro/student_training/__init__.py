"""Trains a student: a small network that speaks with one of Kokoro's voices. See docs/train-a-student.md."""
