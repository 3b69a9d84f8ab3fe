"""Agents: one folder or module for each agent that AURA can drive.

An adapter is pure: `command.py` says what is run (options, arguments, environment), `conversation.py` understands what
the agent writes, and the executor in ``__init__.py`` puts the two together. Starting, reading, ending is not done here.
What they share is in the modules that begin with an underscore.
"""
