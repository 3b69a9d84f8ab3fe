"""Proof for store adapters, AURA's own and others: conformance suites and a model-based state machine.

    from aura_store.testing.log_conformance import EventLogConformance    # needs pytest
    from aura_store.testing.stateful import EventLogMachine         # needs hypothesis

Nothing is imported here, because pytest loads `aura_store.testing.plugin` in every run.
"""
