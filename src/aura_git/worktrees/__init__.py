"""Linked worktrees: listing, creating, reusing, moving and removing them."""
