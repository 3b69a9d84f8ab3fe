"""Price files: TOML, validated field by field, as a `PriceTable`. Pure."""

import tomllib
from datetime import date
from decimal import Decimal
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aura_contracts.settled_files import read_settled
from aura_store.pricing._prices import InvalidPrices, Price, PriceTable

LIST_PRICES = "prices.toml"
"""AURA's own price file, in this package."""

_Dollars = Annotated[Decimal, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
"""For a million tokens."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Source(_Part):
    page: str = ""
    retrieved: date | None = None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.page, f"({self.retrieved})" if self.retrieved else "")))


class _Row(_Part):
    since: date = Field(alias="from")
    input: _Dollars
    output: _Dollars
    cache_read: _Dollars | None = None
    cache_write: _Dollars | None = None
    source: str = ""


class _PriceFile(_Part):
    sources: dict[str, _Source] = {}
    models: dict[Annotated[str, Field(min_length=1)], Annotated[list[_Row], Field(min_length=1)]]


def read_prices(*files: Path) -> PriceTable:
    """Return AURA's list prices, overridden by the models of `files`; later files win.

    Raises `InvalidPrices`, naming file and field, and `OSError` for an unreadable file.
    """
    table = _list_prices()
    for file in files:
        table = table.replaced_by(parse_prices(read_settled(file, -1), str(file)))
    return table


@lru_cache(maxsize=1)
def _list_prices() -> PriceTable:
    return parse_prices(resources.files("aura_store.pricing").joinpath(LIST_PRICES).read_bytes(), LIST_PRICES)


def parse_prices(data: bytes, file: str) -> PriceTable:
    """Return the table in a TOML file; `file` is its name in errors. Raises `InvalidPrices`."""
    try:
        found = _PriceFile.model_validate(tomllib.loads(data.decode(), parse_float=Decimal))
    except UnicodeDecodeError as error:
        raise InvalidPrices(file=file, field="", reason=f"it is not UTF-8: {error}") from error
    except (tomllib.TOMLDecodeError, ArithmeticError) as error:
        raise InvalidPrices(file=file, field="", reason=f"it is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidPrices(file=file, field=_path(first["loc"]), reason=first["msg"]) from error
    return PriceTable({name: _rows(name, rows, found, file) for name, rows in found.models.items()})


def _rows(name: str, rows: list[_Row], found: _PriceFile, file: str) -> tuple[Price, ...]:
    days = [row.since for row in rows]
    for number, row in enumerate(rows):
        if row.since in days[:number]:
            field = _path(("models", name, number, "from"))
            raise InvalidPrices(file=file, field=field, reason=f"there already is a row from {row.since}")
    return tuple(sorted((_price(row, found) for row in rows), key=lambda row: row.since))


def _price(row: _Row, found: _PriceFile) -> Price:
    return Price(
        since=row.since,
        input=row.input,
        output=row.output,
        cache_read=row.input if row.cache_read is None else row.cache_read,
        cache_write=row.input if row.cache_write is None else row.cache_write,
        source=str(found.sources.get(row.source, row.source)),
    )


def _path(parts: tuple[int | str, ...]) -> str:
    """Return the place in the file: ``models."gpt-5*"[0].input``."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += "." * bool(path) + (part if part.replace("_", "").isalnum() else f'"{part}"')
    return path
