"""What users of other engines complained of in public, each complaint as a test of how AURA behaves instead.

The number in a test's name is that of the complaint in our list, and the first line of its docstring names the issue
and what went wrong there; the next one says what AURA does. Each test was seen to fail with the fault planted.

| module            | numbers      | about                                                        |
| ----------------- | ------------ | ------------------------------------------------------------ |
| test_gates        | 1-16, 22, 23 | questions to humans, and what their answers do               |
| test_gate_kin     |              | relatives of these that could have happened here             |
| test_recovery     | 29-40        | crashes, restarts, downtimes, signals and races              |
"""
