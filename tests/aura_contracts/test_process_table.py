"""The list of processes, read while it changes."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from aura_contracts.process_table import values_of

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux shows environments in files")


@pytest.fixture
def restless() -> Iterator[subprocess.Popen[bytes]]:
    """A process that replaces its program again and again, as ``setsid`` does once."""
    again = {"AGAIN": 'exec sh -c "$AGAIN"', "AURA_TEST": "here", "PATH": os.defpath}
    with subprocess.Popen(["sh", "-c", again["AGAIN"]], env=again) as process:
        yield process
        process.kill()


@pytest.mark.deep
def test_a_process_that_is_replacing_its_program_is_found(restless: subprocess.Popen[bytes]) -> None:
    assert [values_of("AURA_TEST").get(restless.pid) for _ in range(300)] == [["here"]] * 300


def test_a_process_without_an_environment_has_no_value() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "read ended"], env={}, stdin=subprocess.PIPE) as process:
        assert process.pid not in values_of("AURA_TEST")
