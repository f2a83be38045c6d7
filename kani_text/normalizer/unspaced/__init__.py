"""Normalization of languages that are written without spaces: Chinese and Japanese.

Figures are found in the running text, and what stands after one (年, 个, 本) decides how it is read. In
Chinese the words are Han characters, in Japanese katakana, because the sound of a number and its counter
depend on each other.
"""
