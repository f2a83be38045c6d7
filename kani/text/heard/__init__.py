"""What is done with the text of recognised speech."""
