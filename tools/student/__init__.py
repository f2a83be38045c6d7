"""Trains a student: a small network that speaks with one of Kokoro's voices. See docs/train_a_student.md."""
