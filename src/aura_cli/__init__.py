"""Command line: a thin edge over the library. Everything that `aura` prints is available from the API.

Only this package reads the environment, the arguments, the machine's clock and the terminal.

- ``arguments``: the options of each command, and the requests built from them;
- ``commands``: a module for each command;
- ``rendering``: data as text and as JSON, on the streams of the process;
- ``streaming``: the output of a task while it runs;
- ``shell_completion``: completion scripts for shells.
"""
