"""Workflows: what a definition and the state of a workflow mean, and what happens next. Pure."""
