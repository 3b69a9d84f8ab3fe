"""SQLite: the embedded default, several processes on one file."""
