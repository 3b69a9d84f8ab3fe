"""Workflows: graphs of steps, from their definition to their end.

file_keys            what a workflow file may hold, key by key
definition_file      the text of a file ► a definition, or all its faults with line and column
definition_text      a definition ► the text of a file
builder              definitions in Python
starters             complete files to begin with
templates            those files
lint                 faults of a definition that only its templates, or the whole graph, show
library              the stored definitions, as workflows refer to them
forks                what of a workflow stays as it was in one that continues it

expressions          the value of an expression, the text of a template (pure)
_expression_sandbox  where they are evaluated
reads                what an expression or template reads
lazy_tables          what they read part by part
scope                what the expressions of a step may read
evaluation           expressions and templates, evaluated where a step is
schemas              whether outputs and inputs are as declared (pure)
schedule_starts      the workflows that schedules start, each moment once

graph                a workflow as text, as a flowchart of Mermaid and as a drawing
critical_path        the steps that decided how long a workflow took
wait_chains          why a workflow waits, as a chain of events

acts                 what the driver of a workflow has to do now (pure)
kind                 workflows as what an engine drives
driver               does what a workflow needs from the world, until nothing is left
world                what drivers work with, and the changes that they record
starts               what steps need from outside to start
below                what runs for steps, and what its end means
orders               the tasks that steps need, and who makes them
outputs              what the tasks of steps have come to
step_ids             the ids of what steps start
"""
