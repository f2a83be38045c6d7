"""Scripts without spaces between words: Chinese and Japanese."""
