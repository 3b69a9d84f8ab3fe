"""Which tests run, and in which order: a pytest hook.

Tests marked ``deep`` run with ``-m deep``, or where the environment variable ``AURA_DEEP`` is set, which makes some
tests larger. Of one marked ``deep_but_first``, the first of its cases always runs, and the others are deep.
``AURA_SAMPLE=SEED/4`` leaves one in four of what is chosen, others for each seed.
"""

import hashlib
import os
from pathlib import Path

import pytest


def _number(text: str) -> int:
    """Return a number for a text. Those of a checksum would give half of all seeds the same sample of one in two."""
    return int.from_bytes(hashlib.blake2s(text.encode(), digest_size=8).digest())


FIRST = Path(__file__).parent / "stateful"
"""Its searches take long, and are made once in each process that runs one of its tests."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is deep, unless it is asked for, and what is not in the sample.

    Begin with what takes long, so that one worker gets all of it.
    """
    _mark_later_cases(items)
    left_out = set[pytest.Item]()
    if not os.environ.get("AURA_DEEP") and "deep" not in config.option.markexpr:
        left_out |= {item for item in items if item.get_closest_marker("deep")}
    if share := os.environ.get("AURA_SAMPLE"):
        seed, _, one_in = share.rpartition("/")
        left_out |= {item for item in items if _number(f"{seed} {item.nodeid}") % int(one_in)}
    config.hook.pytest_deselected(items=list(left_out))
    items[:] = [item for item in items if item not in left_out]
    items.sort(key=lambda item: item.path.parent != FIRST)


def _mark_later_cases(items: list[pytest.Item]) -> None:
    """Mark the cases of a function that is ``deep_but_first`` as deep, except for the first one."""
    begun = set[str]()
    for item in items:
        if item.get_closest_marker("deep_but_first"):
            function = item.nodeid.partition("[")[0]
            if function in begun:
                item.add_marker(pytest.mark.deep)
            begun.add(function)
