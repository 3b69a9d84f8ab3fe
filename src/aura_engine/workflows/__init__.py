"""Workflows: graphs of steps, from their definition to their end.

expressions           the value of an expression, the text of a template, and what they read
_expression_sandbox   where they are evaluated
"""
