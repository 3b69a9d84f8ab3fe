"""The same workflow in AURA and in what `benchmarks.workflows` compares it with, a program each."""
