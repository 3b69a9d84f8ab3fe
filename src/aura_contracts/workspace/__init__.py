"""Workspace: the worktrees for one task, one per repository, on one branch, on one worker.

    requested ──prepared──► ready ──acquired──► in_use ──released──► ready
        │                     │
        │                     └──merge started──► merging ──merged, abandoned──► ready
        │                                            └──conflicted──► conflicted ──resolved, abandoned──► ready
        └──preparation failed──► failed

    ready, failed ──recreation──► requested
    requested, ready, failed ──removed──► removed

Either all repositories are prepared or none. Only one execution uses a workspace at a time. **Anything that could
destroy work** (removing, recreating, restoring an older state) is refused while there is unsaved work; see
`Workspace.unsaved`. A recreated workspace returns to its old path, because agents key their sessions by directory.
"""

from aura_contracts.workspace.commands import *
from aura_contracts.workspace.event_types import *
from aura_contracts.workspace.state import *
from aura_contracts.workspace.values import *
