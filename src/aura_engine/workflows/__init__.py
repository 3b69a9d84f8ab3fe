"""Workflows: graphs of steps, from their definition to their end.

acts             what a workflow needs from the world now
"""
