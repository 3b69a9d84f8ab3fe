"""What adapters of agents are made of; `aura_executors` offers all of it to adapters of others.

    options                  options every agent has, and how a command is put together
    option_reader            options by name and type
    program_lookup           where a program is, its version, whether it is logged in
    json_lines               conversations with one JSON value in a line
    turn_state               those of agents that are run for one turn
    single_shot              programs that write an answer and nothing else
    json_rpc                 JSON-RPC over lines
    line_splitter            bytes to lines, in bounded memory
    bounded_text             texts that a log can store
    failure_classification   rate limits and authentication distinguished from other failures

Everything here is pure but for `program_lookup`, which looks for programs and runs ``--version``.
"""
