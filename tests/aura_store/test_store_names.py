"""What `aura_store` offers by name; a name that is dropped or renamed breaks programs out there."""

import subprocess
import sys

import pytest

import aura_store
from aura_store import audit, pricing, read_models

PUBLIC = [
    "AggregateRepository",
    "AuditFinding",
    "AuditReport",
    "Change",
    "Compression",
    "HistoryLine",
    "InvalidPrices",
    "Loaded",
    "Price",
    "PriceTable",
    "StoreArchive",
    "StoreReport",
    "StoreUrl",
    "UsageCost",
    "UsageKey",
    "World",
    "check_read_models",
    "checkpoint",
    "cost_of",
    "diff",
    "history",
    "locks_for",
    "open_log",
    "open_read_models",
    "read_models_as_of",
    "read_prices",
    "read_until",
    "repair_snapshot",
    "state_at",
    "usage_of",
    "verify",
    "world_at",
]


def test_the_names_of_the_package():
    assert dir(aura_store) == aura_store.__all__ == PUBLIC


@pytest.mark.parametrize("package", [aura_store, audit, pricing, read_models])
def test_every_name_is_there_and_no_other(package):
    for name in dir(package):
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'opne_log'"):
        _ = package.opne_log


def test_nothing_is_imported_before_it_is_asked_for():
    code = (
        "import sys, aura_store; dir(aura_store); assert not {'msgspec', 'attrs', 'sqlite3'} & set(sys.modules);"
        "aura_store.StoreUrl; assert not {'msgspec', 'sqlite3'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_program_that_lists_tasks_imports_neither_pydantic_nor_a_driver_of_postgresql():
    code = (
        "import sys, anyio\n"
        "from aura_contracts.ports.read_models import TaskQuery\n"
        "from aura_store import open_log, open_read_models\n"
        "async def main():\n"
        "    async with open_log('memory:') as log, open_read_models(log) as models:\n"
        "        await models.list(TaskQuery())\n"
        "anyio.run(main)\n"
        "assert not {'pydantic', 'psycopg', 'sqlalchemy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
