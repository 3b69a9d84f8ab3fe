"""The schema version of the read models, as source: a process that reads does not have to derive it."""

from aura_store.read_models import _fold, _schema_version

PATH = _schema_version.__file__


def schema_version() -> str:
    """Return the source of `aura_store.read_models._schema_version`."""
    return (
        '"""Schema version: the name of everything that the rows of the read models depend on.\n\n'
        "It changes with the tables, with the shapes of states and with the events that are folded. Tables with\n"
        "another one are recreated. `aura_store.read_models._fold` says how it is derived.\n"
        '"""\n\n'
        "from typing import Final\n\n"
        f'SCHEMA_VERSION: Final = "{_fold.derived_schema_version()}"\n'
    )
