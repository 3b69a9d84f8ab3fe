"""Worker side."""
