"""Workflows: graphs of steps, from their definition to their end.

file_keys        what a workflow file may hold, key by key
definition_file  the text of a file ► a definition, or all its faults with line and column
definition_text  a definition as the text of a file
builder          definitions in Python
starters         complete files to begin with
"""
