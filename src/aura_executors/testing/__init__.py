"""Proof for executors, AURA's own and others: a conformance suite. Needs pytest and hypothesis.

from aura_executors.testing.executor import ExecutorConformance
"""

import pytest

pytest.register_assert_rewrite("aura_executors.testing._material", "aura_executors.testing.executor")
