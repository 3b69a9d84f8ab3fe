"""Command line: the thin edge over the library. Whatever `aura` prints, a program can get from the API.

Here, and nowhere below, the environment, the arguments, the clock of the machine and the terminal are read.
"""
