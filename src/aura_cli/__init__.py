"""Command line: the thin edge over the library. Everything that `aura` prints is available from the API.

Here, and nowhere below, the environment, the arguments, the clock of the machine and the terminal are read.

- ``arguments``: what can be written on the command line, and what is made of it;
- ``commands``: a module for each command;
- ``rendering``: data as text and as JSON, on the streams of the process;
- ``streaming``: a task followed while it runs;
- ``completion``: the scripts for shells.
"""
