"""The program of the executor `local`, a process of its own: run by `aura_executors.isolated`.

It needs the standard library alone. The first line of its standard input is a `request`; what it speaks after that is
in `chat`. `loop` asks the model (`model_client` over `endpoint`, answers in `replies`) and carries out what it calls
for (`toolbox` with the `tools`: `files`, `search`, `shell`); `session` keeps the `history`, `interruption` ends it all.
"""
