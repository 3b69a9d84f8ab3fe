"""Connections to PostgreSQL: the URL, the setup of each connection, and the meaning of errors."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import DictRow, dict_row

from aura_contracts.errors import LogDamaged, StoreFull, StoreMisconfigured, StoreReadOnly
from aura_contracts.store_url import without_password
from aura_store.log._recorder import DatabaseAway

STALLED_AFTER = 10.0
"""Seconds after which the server ends the transaction of a process that stopped in the middle of a commit.

That process finds its connection broken and looks up the outcome of its commit; the others continue.
"""

_DEFAULTS: Mapping[str, Any] = {
    "connect_timeout": 5,
    "fallback_application_name": "aura",
    # A server that vanished silently is noticed within 20 s (libpq, "Parameter Key Words").
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}

_SECRETS = {"password", "sslpassword", "oauth_client_secret"}


def parse_url(url: str) -> Mapping[str, Any]:
    """Return libpq's parameters for `url`. Raises `StoreMisconfigured`."""
    try:
        return conninfo_to_dict(url)
    except psycopg.ProgrammingError as error:
        shown = without_password(url)
        reason = f"not a PostgreSQL URL: {without_password(str(error).strip())}"
        remedy = "use postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with %XX for special characters"
        raise StoreMisconfigured(store=shown, reason=reason, remedy=remedy) from None


def public_url(parameters: Mapping[str, Any]) -> str:
    """Return the URL of `parameters` without passwords."""
    rest = {key: value for key, value in parameters.items() if key not in _SECRETS}
    user, database, host = rest.pop("user", ""), rest.pop("dbname", ""), str(rest.get("host", ""))
    authority = f"{quote(user, safe='')}@" if user else ""
    if host and not set(host) & set("/,:@"):
        authority += quote(rest.pop("host"), safe="") + (f":{rest.pop('port')}" if "port" in rest else "")
    query = f"?{urlencode(rest, safe='/,', quote_via=quote)}" if rest else ""
    return f"postgresql://{authority}/{quote(database, safe='')}{query}"


class DatabaseVanished(psycopg.OperationalError):
    """A database that was there is not there any more: it is being restored, say, under its name."""


class Connector:
    """Creates connections with the settings that the log needs.

    Raises `DatabaseVanished`, which is an outage, where an unknown database would be a mistake in the URL.
    """

    def __init__(self, parameters: Mapping[str, Any], *, read_only: bool, lock_timeout: float) -> None:
        self._parameters = {**_DEFAULTS, **parameters, "client_encoding": "utf8"}
        self._settings = (
            f"SET lock_timeout = {max(1, round(lock_timeout * 1000))};"
            f"SET idle_in_transaction_session_timeout = {round(STALLED_AFTER * 1000)};"
            # Commits must survive a crash. Settings stronger than "on" are left unchanged.
            "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off';"
            f"SET default_transaction_read_only = {'on' if read_only else 'default'}"
        ).encode()
        self._was_there = False

    def connect(self) -> Connection[DictRow]:
        """Return a new connection in autocommit mode."""
        try:
            connection = Connection[DictRow].connect(**self._parameters, autocommit=True, row_factory=dict_row)
        except psycopg.OperationalError as error:
            if self._was_there and _UNKNOWN.search(str(error)):
                raise DatabaseVanished(str(error)) from error
            raise
        self._was_there = True
        try:
            connection.execute(self._settings)
        except BaseException:
            connection.close()
            raise
        return connection


# --- Errors -----------------------------------------------------------------------------------------------------------

_UNKNOWN = re.compile(r"database .* does not exist")
_REFUSED = re.compile(
    r"authentication failed|no password supplied|no pg_hba\.conf entry|is not permitted to log in"
    r"|(role|user|database) .* does not exist|permission denied for database|certificate|does not support SSL"
    r"|invalid .*(value|number)|bad value for|Servname not supported"
)
"""Refusals of a login, by the server or by libpq; while connecting, libpq returns their text without a SQLSTATE.

If the server's language is not English they count as an outage, and are reported once it has lasted too long.
"""

_LOOK_AT_URL = "check user, password and database in the URL, and the server's pg_hba.conf"
_GRANT = "grant the role access to AURA's tables (GRANT ... ON ALL TABLES IN SCHEMA ...), or open the log read-only"

POOLED = "connect to the server itself, or to a pooler that lends sessions for as long as a client stays"

_MEANINGS: Sequence[tuple[str, Callable[[str, str], Exception]]] = (
    # disk full
    ("53100", lambda store, why: StoreFull(store=store, stream_id="", position=0, reason=why)),
    # read-only transaction, the only kind on a standby server
    ("25006", lambda store, why: StoreReadOnly(store=store, stream_id="", position=0, reason=why)),
    # lost connection, deadlock or serialization, resources, shutdown or cancellation, I/O, lock or idle timeout
    ("08|40|53|57|58(?!P01)|55P03|25P0[34]", lambda _, why: DatabaseAway(why)),
    # corruption; an unexpected row; a missing file, table or column
    ("XX|23|58P01|42P01|42703", lambda store, why: LogDamaged(store=store, reason=why)),
    # prepared statements of other clients
    ("26000|42P05", lambda store, why: StoreMisconfigured(store=store, reason=why, remedy=POOLED)),
    ("42501", lambda store, why: StoreMisconfigured(store=store, reason=why, remedy=_GRANT)),
    ("28|3D", lambda store, why: StoreMisconfigured(store=store, reason=why, remedy=_LOOK_AT_URL)),
    ("", lambda store, why: StoreMisconfigured(store=store, reason=why, remedy="see the server's log for more")),
)
"""Prefixes of SQLSTATEs (PostgreSQL manual, appendix A) and their meaning for callers; the first match counts."""


def translate(error: psycopg.Error, store: str) -> Exception:
    """Translate an error of psycopg for callers; return one that is a mistake of ours unchanged."""
    why = " ".join(str(error).split())
    if error.sqlstate is not None:
        state = error.sqlstate
        return next(
            meaning(store, f"{why} (SQLSTATE {state})") for start, meaning in _MEANINGS if re.match(start, state)
        )
    if _REFUSED.search(why) and not isinstance(error, DatabaseVanished):
        return StoreMisconfigured(store=store, reason=why, remedy=_LOOK_AT_URL)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return DatabaseAway(why)
    return error
