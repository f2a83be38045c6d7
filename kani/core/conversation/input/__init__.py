"""The input of a conversation: audio in, turns and their transcripts out."""
