"""Workflows: graphs of steps, from their definition to their end.

file_keys            what a workflow file may hold, key by key
definition_file      the text of a file ► a definition, or all its faults with line and column
definition_text      a definition ► the text of a file
library              the stored definitions, as workflows refer to them
forks                what of a workflow stays as it was in one that continues it

expressions          the value of an expression, the text of a template, and what they read
_expression_sandbox  where they are evaluated
evaluation           expressions and templates, evaluated where a step is

acts                 what the driver of a workflow has to do now (pure)
kind                 workflows as what an engine drives
driver               does what a workflow needs from the world, until nothing is left
world                what drivers work with, and the changes that they record
starts               what steps need from outside to start
below                what runs for steps, and what its end means
orders               the tasks that steps need, and who makes them
outputs              what the tasks of steps have come to
step_ids             the ids of what steps start
file_keys        what a workflow file may hold, key by key
definition_file  the text of a file ► a definition, or all its faults with line and column
library          the stored definitions, as workflows refer to them
forks            what of a workflow stays as it was in one that continues it

acts             what the driver of a workflow has to do now (pure)
kind             workflows as what an engine drives
driver           does what a workflow needs from the world, until nothing is left
world            what drivers work with, and the changes that they record
starts           what steps need from outside to start
below            what runs for steps, and what its end means
orders           the tasks that steps need, and who makes them
outputs          what the tasks of steps have come to
evaluation       expressions and templates, evaluated where a step is
step_ids         the ids of what steps start
"""
