"""Completion: scripts that complete `aura` in a shell, generated from the parsers. Pure: a tree in, a text out.

A script holds everything that it completes, so no process is started at a press of Tab. What only a store knows (the
ids of tasks and approvals) is left to a hook: a shell function ``_aura_ids KIND``, which prints nothing until a user
defines it.
"""
