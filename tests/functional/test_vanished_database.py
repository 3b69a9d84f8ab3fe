"""A database that is gone for a while, as when it is restored under its name: a run waits for it, as for any outage."""

import anyio
import pytest

from conditions import until
from sites import PATIENCE, Site, made_site, wait

pytestmark = [pytest.mark.anyio, pytest.mark.deep]


@pytest.fixture
def anyio_backend():
    """The engine runs in a process of its own."""
    return "asyncio"


class OnPostgres(Site):
    url = ""

    @property
    def store(self):
        return self.url


async def test_a_run_waits_for_a_database_that_was_renamed(tmp_path, postgres, postgres_database):
    def rename(old, new):
        end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{old}'"
        postgres.execute(f"ALTER DATABASE {old} ALLOW_CONNECTIONS false")
        postgres.execute(end)
        postgres.execute(f"ALTER DATABASE {old} RENAME TO {new}")
        postgres.execute(f"ALTER DATABASE {new} ALLOW_CONNECTIONS true")

    work = "echo > ../begun; while [ ! -e ../back ]; do echo at work; sleep 0.05; done; echo x > new.txt"
    with made_site(tmp_path, kind=OnPostgres) as site:
        site.url = postgres.url(postgres_database)
        begun, back = tmp_path / "begun", tmp_path / "back"
        agent = work.replace("../", f"{tmp_path}/")
        words = ("--base-command", "sh", "--param", "-c", "--param", agent)
        process = site.run("--executor", "custom", "--prompt", "Say more", "--approval", "auto", *words)
        await until(begun.exists)
        rename(postgres_database, "elsewhere")
        await until(lambda: f'"{postgres_database}" does not exist' in (postgres.folder / "log").read_text())
        rename("elsewhere", postgres_database)
        back.touch()
        assert await anyio.to_thread.run_sync(wait, process, PATIENCE) == 0, site.said
        assert "Traceback" not in site.said
        assert (site.repository / "new.txt").exists()
