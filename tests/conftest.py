"""Settings of the whole test run.

Which tests run is decided in ``selection.py``. For properties, Hypothesis has two profiles, chosen by
``HYPOTHESIS_PROFILE``: ``default``, quick enough for every run, and ``deep``, for the nightly one. Time limits on
examples are off, because the machines that run the tests are shared; in CI the examples are the same at every run, so
that a red build can be repeated.

Tests marked ``anyio`` run on asyncio and on trio; where they are many and costly, on trio only if deep: see
``backends.py``. Fixtures that start a PostgreSQL server are in ``databases.py``.
"""

import gc
import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, settings

from backends import anyio_backend
from databases import postgres, postgres_database, postgres_url, restartable_postgres
from selection import pytest_collection_modifyitems

__all__ = [
    "anyio_backend",
    "postgres",
    "postgres_database",
    "postgres_url",
    "pytest_collection_modifyitems",
    "restartable_postgres",
]

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # of the many programs that tests start, the first compiles for all

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # in the background of a shell; programs would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)

IN_CI = bool(os.environ.get("CI"))

SHARED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("default", SHARED, derandomize=IN_CI, max_examples=40)
settings.register_profile("deep", SHARED, derandomize=False, max_examples=5_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: tests often wait for processes."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_collection(session: pytest.Session) -> Iterator[None]:
    """Collect no garbage meanwhile: what is imported and collected stays, and each collection would visit all of it."""
    gc.disable()
    try:
        _import_a_share(session)
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def _import_a_share(session: pytest.Session) -> None:
    """Import a share of the tests first, each worker another one.

    All workers import all tests, and at the first import of a test pytest rewrites it, which takes longer than the rest
    and is kept. In the usual order every worker would rewrite every test.
    """
    worker = getattr(session.config, "workerinput", None)
    if worker is None:
        return
    folders = [session.config.invocation_params.dir / given for given in session.config.args]
    files = sorted(file for folder in folders for file in folder.rglob("test_*.py"))
    for file in files[int(worker["workerid"].removeprefix("gw")) :: worker["workercount"]]:
        with suppress(Exception, pytest.skip.Exception):  # told when it is collected
            _ = pytest.Module.from_parent(session, path=file).obj
