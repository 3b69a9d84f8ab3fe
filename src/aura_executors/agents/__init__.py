"""Agents: one folder or module for each agent that AURA can drive.

An adapter is pure: `command.py` says what is run (options, arguments, environment), `conversation.py` understands what
the agent writes, and the executor in ``__init__.py`` puts the two together; its docstring tells how the ends of the
agent are told apart, and is its page. A small agent is one module, in that order. Starting, reading, ending is not done
here.

What they share is in the modules that begin with an underscore: `_command` and `_finding` for commands;
`_conversation` (JSON in lines), `_turn` (agents that are run for one turn), `_plain` (programs that write an answer and
nothing else), `_rpc`, `_lines` and `_texts` for conversations; `_evidence` for judgements. What writes Claude Code's
``stream-json`` (claude, qwen, amp) is understood by `claude.stream`.
"""
