"""The worker's side of supervised processes: starting them, finding them again, following them to their end.

supervised_runner   `SupervisedRunner`, the adapter of the port `ProcessRunner`
supervised_run      one process: its output from the spool, everything else over its supervisor's socket
custody             who is responsible for a process: its folder's lock, its supervisor, or the records it left
spawn               starting a process: the request to a supervisor, and its report
new_supervisor      supervisors that wait for their request
"""
