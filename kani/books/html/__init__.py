"""Text of HTML and XHTML."""
