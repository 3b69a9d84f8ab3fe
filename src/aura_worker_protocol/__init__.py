"""AURA."""
