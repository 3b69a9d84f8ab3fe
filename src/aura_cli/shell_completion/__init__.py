"""Completion: scripts that complete `aura` in a shell, generated from the parsers. Pure: a tree in, text out.

A script contains everything it completes, so pressing Tab starts no process. Ids of tasks and approvals, which are only
in the store, come from a hook: a shell function ``_aura_ids KIND``, which prints nothing until the user defines it.
"""
