"""Documents that are laid out for paper: PDF, and Word's DOCX."""

from kani.books.office.pdf import read_pdf
from kani.books.office.word import read_docx

__all__ = ["read_docx", "read_pdf"]
