"""Whole engines keep their promises under any sequence of events; see `engine_machine`."""

import pytest
from engine_machine import Engines
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

QUICK = settings(
    max_examples=4,
    stateful_step_count=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),  # an example that hangs takes seconds: too many to shrink it
)
DEEP = settings(QUICK, max_examples=80 if settings().max_examples > 1_000 else 10, stateful_step_count=40)
"""By the profile: without it, a sample that ends long before a test counts as hanging."""


def test_whole_engines_keep_their_promises():
    run_state_machine_as_test(Engines, settings=QUICK)


@pytest.mark.deep
def test_whole_engines_keep_their_promises_for_long():
    run_state_machine_as_test(Engines, settings=DEEP)
