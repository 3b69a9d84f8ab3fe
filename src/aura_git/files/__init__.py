"""The files of a worktree: status, diffs, staging, commits and snapshots."""
