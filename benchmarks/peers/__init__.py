"""The same task in AURA and in the libraries that `benchmarks.lifecycle` compares it with, a program each."""
