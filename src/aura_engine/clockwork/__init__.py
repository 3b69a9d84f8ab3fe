"""Clockwork: does what is due although nothing happens, and waits for it.

    wall_clock   how long to wait for a moment, although the clock may be set and the machine may sleep
    effects      the command that each timer stands for
    timekeeper   looks for what is due, fires it, and waits for the next

What is due when follows from the states, see `aura_contracts.timers`; the table ``timers`` of the read models holds it.
So there is nothing here that a crash could lose, and no timer has to be set, moved or taken back.

All that wait for a moment ask `WallClock`: the timekeeper, the drivers of tasks, and the deliveries of answers.
"""
