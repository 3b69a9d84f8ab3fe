"""Contracts: ids, events, commands, states, transition tables, errors, ports. Imports nothing of AURA but itself."""
