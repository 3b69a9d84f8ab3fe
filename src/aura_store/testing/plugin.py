"""Pytest plugin, entry point ``aura_conformance``: failing assertions of the shipped suites show values.

Every pytest run in an environment with AURA loads it. So it imports only pytest, adds no fixtures or options, and
changes nothing for tests outside the suites.
"""

import pytest

pytest.register_assert_rewrite("aura_store.testing.log_conformance", "aura_store.testing.stateful")


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker that every test of the suites has, so that ``-m aura_conformance`` selects them."""
    config.addinivalue_line("markers", "aura_conformance: a guarantee of a port, tested by AURA's shipped suite")
