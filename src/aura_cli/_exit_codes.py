"""Exit codes of the command line: a promise to scripts."""

DONE, FAILED, WRONG_USAGE, INTERRUPTED = 0, 1, 2, 130
