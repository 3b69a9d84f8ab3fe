"""``python -m aura_cli``: the command ``aura``, for callers that only know the interpreter."""

import sys

from aura_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
