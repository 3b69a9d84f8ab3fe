"""The supervisor: a detached process that runs one agent and ends it together with everything it started.

    python -I -S -X utf8 .../supervisor/__main__.py PROCESSES

It costs about 12 MB and some tens of milliseconds, because all modules of this folder, and that which finds processes
(`aura_contracts.process_table`), need the standard library alone and of that the smallest parts; a test runs the
program without anything else installed. The worker's side (`aura_executors.runner`) imports the formats from here:
`run_directory` (what is on disk, and the lock), `spool` (the output), `control_protocol` (the socket), `launch` (the
request on standard input).

    startup             detach, wait for the request, start the agent, report
    launch              from the request to a process that is about to become the agent
    supervision         the loop: output, limits, requests of workers, the end
    pipes               the agent's standard streams
    kept_output         the agent's output on its way to the spool
    time_limits         how long it may run, be silent, be without a worker
    termination         SIGINT, SIGTERM, SIGKILL, to everything it started
    process_family      the agent's main process and what it started: found, reaped, counted
    control_group       the same by a control group, where the system permits one
    control_server      connections of workers
"""
