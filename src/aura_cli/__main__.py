"""``python -m aura_cli``: the command ``aura``, for callers that only know the interpreter."""

from aura_cli.main import program

if __name__ == "__main__":
    program()
