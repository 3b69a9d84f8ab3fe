"""Proof for git backends, AURA's own and others: a conformance suite, run on real repositories.

from aura_git.testing.conformance import GitConformance    # needs pytest, and git to make repositories with
"""

import pytest

pytest.register_assert_rewrite(
    "aura_git.testing.conformance",
    "aura_git.testing.inspection",
    "aura_git.testing.commits",
    "aura_git.testing.worktrees",
    "aura_git.testing.merging",
    "aura_git.testing.safety",
)
