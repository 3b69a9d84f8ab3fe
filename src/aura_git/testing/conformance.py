"""Conformance of git adapters: what every implementation of `aura_contracts.ports.git.Git` must do.

An adapter proves itself with one small class in its own tests:

    class TestMyGit(GitConformance):
        @pytest.fixture
        def make_git(self):
            return lambda environment: MyGit(environment=environment)

The fixture `make_git` returns a function that takes the environment of the caller (``HOME``, ``PATH``) and returns an
adapter with the default identity.

The suite makes its repositories with the git command line, and checks the results with it: git's own view is the
measure. Each subject is a module with one class, all of which this one inherits.
"""

from aura_git.testing.commits import CommitConformance
from aura_git.testing.diffs import DiffConformance
from aura_git.testing.inspection import InspectionConformance
from aura_git.testing.merge_recovery import MergeRecoveryConformance
from aura_git.testing.merges import MergeConformance
from aura_git.testing.obstacles import ObstacleConformance
from aura_git.testing.plain_folders import FolderConformance
from aura_git.testing.refs import RefConformance
from aura_git.testing.repositories import MakeGit, Scratch
from aura_git.testing.reverts import RevertConformance
from aura_git.testing.safety import SafetyConformance
from aura_git.testing.settings import SettingsConformance
from aura_git.testing.submodule_copies import SubmoduleConformance
from aura_git.testing.uncommitted import UnrecordedConformance
from aura_git.testing.worktree_lifecycle import WorktreeConformance

__all__ = ["GitConformance", "MakeGit", "Scratch"]


class GitConformance(
    InspectionConformance,
    RefConformance,
    DiffConformance,
    CommitConformance,
    SettingsConformance,
    WorktreeConformance,
    MergeConformance,
    MergeRecoveryConformance,
    RevertConformance,
    ObstacleConformance,
    SubmoduleConformance,
    UnrecordedConformance,
    SafetyConformance,
    FolderConformance,
):
    """Subclass it, and override the fixture `make_git`."""
