"""Benchmarks: ratios against a named reference, measured in the same run. ``python -m benchmarks.NAME [--json]``."""

import os

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # of the programs that start, the first compiles for all, as users' do
