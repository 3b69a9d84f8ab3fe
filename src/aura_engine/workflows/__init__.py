"""Workflows: graphs of steps, from their definition to their end.

file_keys        what a workflow file may hold, key by key
definition_file  the text of a file ► a definition, or all its faults with line and column
library          the stored definitions, as workflows refer to them
forks            what of a workflow stays as it was in one that continues it

acts             what the driver of a workflow has to do now (pure)
kind             workflows as what an engine drives
driver           does what a workflow needs from the world, until nothing is left
"""
