"""Sockets and uvicorn: listening, accepting, limits of time and memory below the application."""
