"""Agents: one folder or module for each agent that AURA can drive.

An adapter is pure: it starts, reads and ends nothing. What adapters have in common is in `aura_executors.adapter`. A
small agent is one module; the others are folders whose files have the same role, and therefore the same name, in each:

    __init__        the executor; its docstring describes how runs end and how the ends are distinguished, and is the
                    agent's page in the documentation
    command         options, arguments, environment, availability
    conversation    what the agent writes, understood; what it is sent
    permissions     its questions, and their answers
    wire            the messages of its protocol

Claude Code's ``stream-json``, which claude, qwen and amp write, is understood by `claude.stream`.
"""
