"""``python -m aura_cli``: the command ``aura``, where only the interpreter is known."""

import sys

from aura_cli.main import main

if __name__ == "__main__":
    sys.exit(main())
