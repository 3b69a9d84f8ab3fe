"""Folders that are in no repository: recording their files in a bare one, and taking them to another version."""
