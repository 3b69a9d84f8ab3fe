"""The parts of docs/generate.py: pages that are made from the code, and what they share."""
