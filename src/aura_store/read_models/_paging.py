"""Paging: keyset pagination over any column of a table, forwards, stable under inserts.

A cursor is base64 of the sort value and the key of the last row of a page. The next page starts after these values,
wherever they are by then, so a row that does not move is seen exactly once, whatever is inserted around it. Rows
without a value come last, in both directions. A cursor fits one list in one order, and is refused in any other.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from aura_contracts.errors import InvalidInput, require_aware, require_text
from aura_contracts.first_use import convert, decode_json
from aura_contracts.ports.read_models import LIMIT, Query
from aura_store.read_models._table import Kind, Table, TableColumn

_PYTHON: Final[dict[Kind, type]] = {"time": datetime, "boolean": bool, "integer": int, "real": float}
"""The types of values in a cursor by kind; all other kinds are text."""

Values = tuple[Any, ...]

Condition = tuple[str, Values]
"""SQL with a ``?`` for each of its values, which are in the form of a `TableColumn` of that SQL."""


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    table: str
    sort: str
    descending: bool
    value: Any
    key: str


class Order(msgspec.Struct, frozen=True):
    """The order of a list: by one column, then by the table's key. Created by `order_of`."""

    table: Table
    column: TableColumn
    descending: bool

    @property
    def expression(self) -> str:
        """The sort expression: the column, or the rank of a word."""
        if not self.column.ranked:
            return f'"{self.column.name}"'
        cases = " ".join(f"WHEN '{word}' THEN {rank}" for rank, word in enumerate(self.column.words))
        return f'CASE "{self.column.name}" {cases} END'

    @property
    def kind(self) -> Kind:
        """The kind of the sort values."""
        return "integer" if self.column.ranked else self.column.kind

    @property
    def clause(self) -> str:
        """The ORDER BY clause, without these words."""
        direction = "DESC" if self.descending else "ASC"
        empty_last = f'"{self.column.name}" IS NULL, ' if self.column.null else ""
        return f'{empty_last}{self.expression} {direction}, "{self.table.key}" {direction}'

    def after(self, text: str) -> Condition:
        """Return the condition for the rows after a cursor. Raises `InvalidInput`."""
        cursor = _decode(text, self)
        sign = "<" if self.descending else ">"
        by, key = self.expression, f'"{self.table.key}"'
        if cursor.value is None:
            return f"({by} IS NULL AND {key} {sign} ?)", (cursor.key,)
        empty = f" OR {by} IS NULL" if self.column.null else ""
        return f"(({by}, {key}) {sign} (?, ?){empty})", (cursor.value, cursor.key)

    def cursor_at(self, value: Any, key: str) -> str:
        """Return the cursor after a row."""
        cursor = _Cursor(self.table.name, self.column.name, self.descending, value, key)
        return urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def order_of(table: Table, query: Query[Any]) -> Order:
    """Return the order for `query`.

    Raises `InvalidInput` for a column that does not exist or has no order, and for a limit out of range.
    """
    column = table.column(query.sort) if isinstance(query.sort, str) else None
    if column is None or column.kind == "json":
        sortable = ", ".join(each.name for each in table.columns if each.kind != "json")
        reason = "there is no such column" if column is None else "holds JSON, which has no order"
        raise InvalidInput(
            field="sort", reason=f"{query.sort!r} of {table.name}: {reason}", remedy=f"sort by one of {sortable}"
        )
    limit: Any = query.limit
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIMIT:
        raise InvalidInput(field="limit", reason=f"{limit!r} is not from 1 to {LIMIT}", remedy="use several pages")
    return Order(table, column, query.descending)


def _decode(text: str, order: Order) -> _Cursor:
    """Return the cursor in `text`. It comes from outside, so everything in it is checked."""
    wrong = InvalidInput(
        field="cursor",
        reason="it is not a page cursor",
        remedy="pass next_cursor unchanged, or leave it out for the first page",
    )
    try:
        cursor = decode_json(urlsafe_b64decode(text.encode("ascii")), _Cursor)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise wrong from error
    if (cursor.table, cursor.sort, cursor.descending) != (order.table.name, order.column.name, order.descending):
        direction = "descending" if cursor.descending else "ascending"
        raise InvalidInput(
            field="cursor",
            reason=f"it is from {cursor.table} sorted by {cursor.sort}, {direction}",
            remedy="use it with the same list and order, or leave it out for the first page",
        )
    try:
        value = convert(cursor.value, _PYTHON.get(order.kind, str) | None)
    except msgspec.ValidationError as error:
        raise wrong from error
    if isinstance(value, datetime):
        value = utc(value, "cursor")
    for part in (cursor.key, value):
        if isinstance(part, str):
            require_text(part, "cursor")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise wrong
    return msgspec.structs.replace(cursor, value=value)


def utc(value: datetime, field: str) -> datetime:
    """Return `value` in UTC. Raises `NaiveDatetime`, and `InvalidInput` for a time that UTC has no date for."""
    try:
        return require_aware(value, field).astimezone(UTC)
    except OverflowError:
        remedy = "use a time between the years 1 and 9999"
        raise InvalidInput(field=field, reason=f"{value.isoformat()} is out of range", remedy=remedy) from None
    except (AttributeError, TypeError):
        raise InvalidInput(field=field, reason=f"{value!r} is not a datetime", remedy="use an aware datetime") from None
