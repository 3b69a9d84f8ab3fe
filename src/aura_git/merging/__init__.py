"""Merging: predicting a merge, merging into a branch, and updating the worktree that has it checked out."""
