"""Permissions: the agent's question, from what it asks to what it is told."""
