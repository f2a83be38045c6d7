"""Stands for sentencepiece, which only the package would import."""
