"""Workflows: graphs of steps, from their definition to their end.

file_keys        what a workflow file may hold, key by key
definition_file  the text of a file ► a definition, or all its faults with line and column
acts             what a workflow needs from the world now
"""
