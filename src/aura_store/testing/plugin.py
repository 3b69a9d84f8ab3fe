"""Pytest plugin, declared as the entry point ``aura_conformance``: failing assertions of the shipped suite show values.

It is loaded by every pytest run of an environment that has AURA installed. So it imports pytest alone, adds no fixture
and no option, and changes nothing for tests that do not use the suite.
"""

import pytest

pytest.register_assert_rewrite("aura_store.testing.event_log", "aura_store.testing.stateful")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that every test of the suite carries, so that ``-m aura_conformance`` selects them."""
    config.addinivalue_line("markers", "aura_conformance: a promise of a port, tested by AURA's shipped suite")
