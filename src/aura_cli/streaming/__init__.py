"""Streaming: the output of a task while it runs, with messages of AURA and the agent and questions to the human."""
