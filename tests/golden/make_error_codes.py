"""Write the error codes that are missing in the golden list: code -> class.

    python tests/golden/make_error_codes.py

A line that is there stays as it is: programs out there compare with that code.
"""

import json
from pathlib import Path

from aura_contracts.errors import AuraError
from aura_engine.agent_tools import access  # noqa: F401 - for its errors

FILE = Path(__file__).parent / "error_codes.json"


def codes(kind: type[AuraError] = AuraError) -> dict[str, str]:
    """Return the codes of an error and all below it, of the library: those of the command line are its own."""
    found = {kind.code: kind.__name__}
    for child in kind.__subclasses__():
        if child.__module__.startswith(("aura_contracts", "aura_engine")):
            found |= codes(child)
    return found


if __name__ == "__main__":
    known = json.loads(FILE.read_text()) if FILE.exists() else {}
    FILE.write_text(json.dumps({**codes(), **known}, indent=2, sort_keys=True) + "\n")
