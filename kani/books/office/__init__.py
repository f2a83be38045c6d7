"""Documents that are laid out for paper: PDF, and Word's DOCX."""
