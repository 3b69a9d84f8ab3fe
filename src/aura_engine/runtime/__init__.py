"""Runtime: what makes decided things happen.

    views      a task with everything that belongs to it, as it is
    steps      from a view to the one thing that is to be done next (pure)
    driver     does one thing after the other, for one task, until there is nothing left to do
    gateway    the engine's end of the connection to a worker

There is no queue and no cursor that a crash could lose: what is to be done next follows from the state alone, whoever
looks at it, whenever. Each step is repeatable, so a driver that was killed in the middle of one begins it again.
"""
