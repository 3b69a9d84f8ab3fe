"""Workflows: graphs of steps, from their definition to their end.

file_keys        what a workflow file may hold, key by key
definition_file  the text of a file ► a definition, or all its faults with line and column
acts             what a workflow needs from the world now

expressions          the value of an expression, the text of a template (pure)
reads                what an expression or template reads
_expression_sandbox  where they are evaluated
scope                what the expressions of a step may read
schemas              whether an output or the inputs are as declared
schedules            when a workflow is due again, by cron expression and zone (pure)
"""
