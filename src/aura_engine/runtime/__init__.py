"""Runtime: carries out decisions.

    views      a task with everything that belongs to it
    steps      from a view to the next step (pure)
    driver     performs the steps of one task until none is left
    gateway    the engine's end of the connection to a worker

There is no queue and no cursor that a crash could lose: the next step follows from the state alone. Each step is
repeatable, so after a driver is killed in the middle of one, the next driver performs it again.
"""
