"""The chapters of a book, for the page."""
