"""Settings of the whole test run.

Hypothesis has two profiles, chosen by the environment variable ``HYPOTHESIS_PROFILE``: ``default``, quick enough for
every run, and ``deep``, for the nightly one. Time limits per example are off, because the machines that run the tests
are shared; in CI the examples are the same at every run, so that a red build can be repeated.
"""

import os

from hypothesis import HealthCheck, settings

IN_CI = bool(os.environ.get("CI"))

settings.register_profile("default", deadline=None, derandomize=IN_CI, max_examples=100)
settings.register_profile(
    "deep",
    deadline=None,
    derandomize=False,
    max_examples=5_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
