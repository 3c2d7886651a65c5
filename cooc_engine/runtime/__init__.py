"""The machinery common to all stages: options, threads, memory budget, progress, interrupts.

Flows in: the user's settings. Flows out: validated options, the cores and the memory that a stage may use, and a way to
report progress. May import `errors` alone.
"""
