"""The fixtures of the suite: handles on the store under test."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import ClassVar

import anyio
import anyio.lowlevel
import pytest

from aura_contracts.ports import EventLog

OpenLog = Callable[[], AbstractAsyncContextManager[EventLog]]


@pytest.mark.anyio
@pytest.mark.aura_conformance
class StoreFixtures:
    """The store under test, opened by its adapter. Every test runs on asyncio and on trio."""

    shared: ClassVar[bool] = True
    """Whether the store may be open twice at the same time."""

    patience: ClassVar[float] = 60
    """Seconds after which a waiting test counts as hanging."""

    @pytest.fixture(params=["asyncio", "trio"])
    def anyio_backend(self, request: pytest.FixtureRequest) -> str:
        pytest.importorskip(request.param)
        return str(request.param)

    @pytest.fixture
    def open_log(self) -> OpenLog:
        raise NotImplementedError("override the fixture `open_log`: see aura_store.testing.log_conformance")

    @asynccontextmanager
    async def opened(self, open_log: OpenLog, handles: int = 1) -> AsyncIterator[list[EventLog]]:
        """Open `handles` handles on the store, and cancel anything that hangs."""
        if handles > 1 and not self.shared:
            pytest.skip("this store can be opened only once at a time")
        with anyio.fail_after(self.patience):
            async with AsyncExitStack() as stack:
                yield [await stack.enter_async_context(open_log()) for _ in range(handles)]

    @pytest.fixture
    async def log(self, open_log: OpenLog) -> AsyncIterator[EventLog]:
        async with open_log() as log:
            yield log
