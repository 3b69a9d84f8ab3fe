"""Paging: keyset pagination over any column of a table, forwards, stable while rows are inserted.

A cursor is base64 of what the last row of a page was sorted by, and its id. The next page begins after these values,
wherever they are by then; so a row that stays where it is is seen exactly once, whatever is inserted around it. Rows
without a value come last, in either direction. A cursor fits one listing in one order and is refused in any other.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar

import attrs
import msgspec
from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Double,
    Select,
    Table,
    and_,
    case,
    literal,
    or_,
    select,
)

from aura_contracts.errors import InvalidInput, InvalidText, require_aware
from aura_contracts.task import Priority
from aura_store.projections.tables import Moment

R = TypeVar("R", bound=msgspec.Struct)


def utc(value: datetime, field: str) -> datetime:
    """Return `value` in UTC. Raises `NaiveDatetime`, and `InvalidInput` for an instant that UTC has no date for."""
    try:
        return require_aware(value, field).astimezone(UTC)
    except OverflowError:
        remedy = "give an instant from the year 1 to 9999"
        raise InvalidInput(field=field, reason=f"{value.isoformat()} is out of range", remedy=remedy) from None
    except (AttributeError, TypeError):
        raise InvalidInput(field=field, reason=f"{value!r} is not a datetime", remedy="give an aware one") from None


LIMIT: Final = 1000
"""Rows on one page, at most."""

_RANKS: Final[Mapping[str, type[StrEnum]]] = MappingProxyType({"priority": Priority})
"""Columns of words that sort by their order in the enum, since the alphabet would put ``high`` before ``low``."""


class Page(msgspec.Struct, Generic[R], frozen=True):
    """Some rows, and the cursor of the page after them; None when there is none."""

    rows: tuple[R, ...]
    next_cursor: str | None


class _Cursor(msgspec.Struct, frozen=True, array_like=True):
    table: str
    sort: str
    descending: bool
    value: Any
    id: str


@attrs.frozen
class Order:
    """The order of a listing: by one column, then by id. Made by `order_by`."""

    table: Table
    sort: str
    descending: bool

    @property
    def column(self) -> Column[Any]:
        return self.table.c[self.sort]

    @property
    def key(self) -> ColumnElement[Any]:
        """What the rows are sorted by: the column, or a word's rank."""
        ranks = _RANKS.get(self.sort)
        if ranks is None:
            return self.column
        return case({str(word): rank for rank, word in enumerate(ranks)}, value=self.column)

    def page(self, where: Sequence[ColumnElement[bool]], limit: int, cursor: str | None) -> Select[Any]:
        """Return the query for a page, with one row more than fits on it; its first column is the sort key."""
        key, row_id = self.key, self.table.c.id
        query = select(key.label("_key"), self.table).where(*where)
        if cursor is not None:
            query = query.where(self._after(_decode(cursor, self)))
        order: list[ColumnElement[Any]] = [key.desc(), row_id.desc()] if self.descending else [key.asc(), row_id.asc()]
        if self.column.nullable:
            order = [key.is_(None), *order]
        return query.order_by(*order).limit(limit + 1)

    def _after(self, cursor: _Cursor) -> ColumnElement[bool]:
        key, row_id = self.key, self.table.c.id
        after_id = row_id < cursor.id if self.descending else row_id > cursor.id
        if cursor.value is None:
            return and_(key.is_(None), after_id)
        value = literal(cursor.value, key.type)
        further = key < value if self.descending else key > value
        tied = and_(key == value, after_id)
        return or_(further, tied, key.is_(None)) if self.column.nullable else or_(further, tied)

    def cursor_at(self, key: Any, row_id: str) -> str:
        """Return the cursor after a row."""
        cursor = _Cursor(str(self.table.name), self.sort, self.descending, key, row_id)
        return urlsafe_b64encode(msgspec.json.encode(cursor)).decode()


def order_by(table: Table, sort: str, *, descending: bool) -> Order:
    """Return the order by column `sort`. Raises `InvalidInput` for a column that is not there or has no order."""
    sortable = [column.name for column in table.c if not isinstance(column.type, JSON)]
    if sort not in sortable:
        reason = "holds JSON, which has no order" if sort in table.c else "there is no such column"
        raise InvalidInput(
            field="sort",
            reason=f"{sort!r} of {table.name}: {reason}",
            remedy=f"sort by one of {', '.join(sortable)}",
        )
    return Order(table, sort, descending)


def require_limit(limit: int) -> int:
    """Return `limit`, or raise `InvalidInput` unless it is from 1 to `LIMIT`."""
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= LIMIT:
        raise InvalidInput(field="limit", reason=f"{limit!r} is not from 1 to {LIMIT}", remedy="ask for more pages")
    return limit


def _decode(text: str, order: Order) -> _Cursor:
    """Return the cursor in `text`; it comes from outside, so everything in it is checked."""
    wrong = InvalidInput(
        field="cursor",
        reason="it is not the cursor of a page",
        remedy="pass next_cursor on as it came, or leave it out for the first page",
    )
    try:
        cursor = msgspec.json.decode(urlsafe_b64decode(text.encode("ascii")), type=_Cursor)
    except (msgspec.MsgspecError, binascii.Error, ValueError) as error:
        raise wrong from error
    if (cursor.table, cursor.sort, cursor.descending) != (order.table.name, order.sort, order.descending):
        direction = "descending" if cursor.descending else "ascending"
        raise InvalidInput(
            field="cursor",
            reason=f"it is from {cursor.table} sorted by {cursor.sort}, {direction}",
            remedy="use it with the same listing and order, or leave it out for the first page",
        )
    try:
        value = msgspec.convert(cursor.value, _python_type(order) | None)
    except msgspec.ValidationError as error:
        raise wrong from error
    if isinstance(value, datetime):
        value = utc(value, "cursor")
    for part in (cursor.id, value):
        if isinstance(part, str):
            require_text(part, "cursor")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise wrong
    return msgspec.structs.replace(cursor, value=value)


def _python_type(order: Order) -> Any:
    if order.sort in _RANKS:
        return int
    kinds = ((Moment, datetime), (Boolean, bool), (BigInteger, int), (Double, float))
    return next((python for kind, python in kinds if isinstance(order.column.type, kind)), str)


def require_text(text: str, field: str) -> str:
    """Return `text`, or raise `InvalidText` for what no database takes."""
    if "\0" in text:
        raise InvalidText(field=field, reason="holds a NUL character")
    try:
        text.encode()
    except UnicodeEncodeError:
        reason = "holds half of a surrogate pair, which is not a character"
        raise InvalidText(field=field, reason=reason) from None
    return text
