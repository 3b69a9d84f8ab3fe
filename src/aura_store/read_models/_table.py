"""Tables and columns, and the SQL that creates them in either database."""

from typing import Final, Literal

import msgspec

Kind = Literal["id", "text", "integer", "real", "boolean", "json", "state", "time"]
"""The kind of a column. ``state`` is JSON that comes back byte for byte."""

DialectName = Literal["sqlite", "postgresql"]

_TYPES: Final[dict[DialectName, dict[Kind, str]]] = {
    "sqlite": {
        "id": "TEXT",
        "text": "TEXT",
        "integer": "BIGINT",
        "real": "DOUBLE",
        "boolean": "BOOLEAN",
        "json": "JSON",
        "state": "TEXT",
        "time": "TIMESTAMP",
    },
    "postgresql": {
        "id": 'TEXT COLLATE "C"',
        "text": "TEXT",
        "integer": "BIGINT",
        "real": "DOUBLE PRECISION",
        "boolean": "BOOLEAN",
        "json": "JSONB",
        "state": "JSON",
        "time": "TIMESTAMP WITH TIME ZONE",
    },
}


class TableColumn(msgspec.Struct, frozen=True):
    """A column; `words` are the values that its check allows, in their sort order."""

    name: str
    kind: Kind
    null: bool = False
    words: tuple[str, ...] = ()
    ranked: bool = False
    """Whether it sorts in the order of `words`, since the alphabet would put ``high`` before ``low``."""

    def definition(self, dialect: DialectName) -> str:
        """Return the column definition for CREATE TABLE."""
        parts = [f'"{self.name}" {_TYPES[dialect][self.kind]}']
        if not self.null:
            parts.append("NOT NULL")
        if self.words:
            words = ", ".join(f"'{word}'" for word in self.words)
            parts.append(f"CHECK ({self.name} IN ({words}))")
        return " ".join(parts)


class Table(msgspec.Struct, frozen=True):
    """A table, or a view if `view` has its query. `key` names the column that identifies rows."""

    name: str
    columns: tuple[TableColumn, ...]
    indexes: tuple[tuple[str, str], ...] = ()
    """Name and columns."""
    key: str = "id"
    view: str = ""

    def column(self, name: str) -> TableColumn | None:
        """Return the column with this name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, in order."""
        return tuple(column.name for column in self.columns)

    def create(self, dialect: DialectName) -> list[str]:
        """Return the statements that create it, with its indexes."""
        if self.view:
            return [f"CREATE VIEW {self.name} AS {self.view}"]
        columns = ", ".join(column.definition(dialect) for column in self.columns)
        table = f'CREATE TABLE {self.name} ({columns}, PRIMARY KEY ("{self.key}"))'
        return [table, *(f"CREATE INDEX {name} ON {self.name} ({on})" for name, on in self.indexes)]

    def drop(self) -> str:
        """Return the statement that removes it."""
        return f"DROP {'VIEW' if self.view else 'TABLE'} IF EXISTS {self.name}"


def indexes(table: str, *columns: str, **named: str) -> tuple[tuple[str, str], ...]:
    """Name the indexes of a table: on `columns`, times from the newest to the oldest, and on the columns of `named`.

    Those of times hold the ids as well, so that a page is found without reading the rows before it.
    """
    simple = {column: f"{column} DESC, id DESC" if column.endswith("_at") else column for column in columns}
    return tuple((f"idx_{table}_{name}", on) for name, on in (simple | named).items())
