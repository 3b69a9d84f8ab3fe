"""The event loops that async tests run on."""

import pytest


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Both. The default."""
    return str(request.param)


@pytest.fixture(name="anyio_backend", params=["asyncio", pytest.param("trio", marks=pytest.mark.deep)])
def asyncio_unless_deep(request: pytest.FixtureRequest) -> str:
    """Both, but trio only in deep runs: for the tests of a folder or module that imports it."""
    return str(request.param)
