"""Proof for implementations of `Git`, AURA's own and others: a conformance suite, run on real repositories.

from aura_git.testing.conformance import GitConformance    # needs pytest, and git to make repositories with
"""

import pytest

_SUITES = (
    *("conformance", "commits", "diffs", "inspection", "merge_recovery", "merges", "obstacles"),
    *("refs", "repositories", "safety", "settings", "submodule_copies", "uncommitted", "worktree_lifecycle"),
)

pytest.register_assert_rewrite(*(f"aura_git.testing.{name}" for name in _SUITES))
