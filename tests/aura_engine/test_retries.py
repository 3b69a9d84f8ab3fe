"""Work is repeated after the errors that pass, and after no others."""

import pytest

from aura_contracts.errors import AuraError, StoreFull, StoreUnavailable
from aura_engine.retries import retrying

pytestmark = pytest.mark.anyio

AWAY = StoreUnavailable(store="s", reason="away", waited=1, attempts=1)
FULL = StoreFull(store="s", stream_id="", position=0, reason="full")


@pytest.mark.parametrize(
    ("errors", "calls", "raised"),
    [([], 1, None), ([AWAY, AWAY], 3, None), ([AWAY, AWAY, AWAY], 3, AWAY), ([AWAY, FULL], 2, FULL)],
)
async def test_what_passes_is_repeated_and_the_last_error_raised(
    errors: list[AuraError], calls: int, raised: AuraError | None
) -> None:
    left, made = list(errors), 0

    async def work() -> str:
        nonlocal made
        made += 1
        if left:
            raise left.pop(0)
        return "done"

    retried = retrying(work, (0.0, 0.0), on=lambda error: isinstance(error, StoreUnavailable))
    if raised is None:
        assert await retried == "done"
    else:
        with pytest.raises(AuraError) as caught:
            await retried
        assert caught.value is raised
    assert made == calls
