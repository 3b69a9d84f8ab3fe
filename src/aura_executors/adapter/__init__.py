"""Building blocks of adapters, which `aura_executors` re-exports for third parties.

    agent_executor           executors that run an agent's own program
    options                  options of every agent, and command lines
    option_reader            options by name and type
    service_url              the URL of a service that speaks OpenAI's protocol
    program_lookup           a program's location, version and login
    json_lines               bytes to lines, and conversations with one JSON value per line
    plan                     the steps of an agent's plan
    questions                the questions that an agent waits for
    single_shot              programs that only write an answer
    json_rpc                 JSON-RPC over lines
    bounded_text             texts that the log can store, and what is remembered meanwhile
    failure_classification   rate limits, authentication failures, and others

Everything here is pure except `program_lookup`, which locates programs and runs ``--version``.
"""
