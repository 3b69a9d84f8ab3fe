"""Parse and validate ``profiles.toml``."""

import tomllib
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, JsonValue, RootModel, StringConstraints, ValidationError

from aura_contracts.errors import InvalidInput

_Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
_OptionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]


class _Variant(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[_OptionName, JsonValue]  # pyright: ignore[reportIncompatibleVariableOverride]  # narrower, as pydantic wants it

    description: str = ""


class _ProfileFile(RootModel[dict[_Name, dict[_Name, _Variant]]]):
    pass


def parse(data: bytes, source: str) -> dict[str, dict[str, Any]]:
    """Return the tables of a file: executor, variant, options. Raises `InvalidInput` with file and field."""
    try:
        tables = tomllib.loads(data.decode())
        checked: dict[str, dict[str, Any]] = _ProfileFile.model_validate(tables).model_dump()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(field=source, reason=f"it is not valid TOML: {error}") from error
    except ValidationError as errors:
        first = errors.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "[key]")
        remedy = "a table is [executor.variant], and holds options of the executor"
        raise InvalidInput(field=f"{source}: {place}", reason=first["msg"], remedy=remedy) from errors
    return checked
