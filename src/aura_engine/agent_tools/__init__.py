"""AURA's own tools for agents: the token that scopes them, the server that agents start, and its API."""
