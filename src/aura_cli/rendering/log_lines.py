"""Log lines: what the library logs, on stderr unless a program configured `logging`; quoted like all other output."""

import logging

from aura_contracts.quoting import printable


class QuotingFormatter(logging.Formatter):
    """Formats a record so that its further lines, as of a traceback, cannot pass for lines of AURA's own."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record)).replace("\n", "\n  | ")


def quote_log_lines() -> None:
    """Have Python's handler of last resort quote what it prints."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(QuotingFormatter())
