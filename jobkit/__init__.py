"""Background jobs for Python: write handlers once, pick the backend by URL."""

__version__ = "0.1.0"
