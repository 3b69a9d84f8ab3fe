"""Permissions: an agent's question, from the request to the answer it receives."""
