"""What is heard in a conversation: audio in, turns and their transcripts out."""
