"""Agents: one folder or module for each agent that AURA can drive.

An adapter is pure: it starts, reads and ends nothing. `aura_executors.adapter` has the common parts. A small adapter is
one module; the others are folders whose files have the same role, and therefore the same name, in each:

    __init__        the executor; its docstring describes how runs end and how the ends are distinguished, and is the
                    agent's page in the documentation
    command         options, arguments, environment, availability
    conversation    parses the agent's output and writes its input
    permissions     its permission requests and their answers
    wire            the messages of its protocol

`claude.stream` parses Claude Code's ``stream-json``, which claude, qwen and amp write.
"""
