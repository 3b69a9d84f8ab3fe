"""Workflows: graphs of steps, from their definition to their end.

library   the stored definitions, as workflows refer to them
kind      workflows as what an engine drives
driver    does what a workflow needs from the world, until nothing is left
"""
