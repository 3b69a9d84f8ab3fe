"""Conformance of git backends: what every implementation of `aura_contracts.ports.git.Git` must do.

A backend proves itself with one small class in its own tests:

    class TestMyGit(GitConformance):
        @pytest.fixture
        def make_git(self):
            return lambda environment: MyGit(environment=environment)

`make_git` is a fixture that returns a function; the function takes the environment of the caller (``HOME``, ``PATH``)
and returns a backend. Its identity is to be the default one.

The suite makes its repositories with the git command line, and looks with it at what the backend has done: what git
itself says is the measure. The tests are in modules by subject; each is a class that this one inherits.
"""

from aura_git.testing.commits import CommitConformance
from aura_git.testing.inspection import InspectionConformance
from aura_git.testing.merging import MergingConformance
from aura_git.testing.repositories import MakeGit, Scratch
from aura_git.testing.safety import SafetyConformance
from aura_git.testing.worktrees import WorktreeConformance

__all__ = ["GitConformance", "MakeGit", "Scratch"]


class GitConformance(
    InspectionConformance, CommitConformance, WorktreeConformance, MergingConformance, SafetyConformance
):
    """Subclass it, override the fixture `make_git`; see the module's docstring."""
