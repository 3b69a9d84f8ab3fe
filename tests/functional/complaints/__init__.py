"""What users of other engines complained of in public, each complaint as a test of how AURA behaves instead.

The number in a test's name is that of the complaint in our list. The first line of its docstring names the issue and
what went wrong there, and the next sentence says what AURA does.

| module                   | numbers              | about                                                |
| ------------------------ | -------------------- | ---------------------------------------------------- |
| test_gates               | 1-7                  | what an answer continues, and what it never repeats  |
| test_gate_rules          | 8-11, 13, 15, 16, 22 | deadlines, who may answer, answers that are kept     |
| test_gate_commands       | 12, 14, 23           | what the command line says, and does                 |
| test_recovery            | 31-38                | services that are killed, and started again          |
| test_races               | 29, 30, 39, 40       | databases that restart, stale lists, signals, losers |
| test_versions            | 41-44                | versions of what runs                                |
| test_pause_cancel_retry  | 45-56                | pausing, cancelling, retrying, undoing               |
| test_fan_out_joins_locks | 57-63                | parallel work of a number known late, joins, locks   |
| test_relatives           |                      | what could have gone wrong here in a similar way     |
"""
