"""Streaming: a task followed while it runs: its output, what AURA and its agent say, questions to the human."""
