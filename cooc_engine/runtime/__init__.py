"""How any stage runs: options, threads, budget, progress, interruptions.

Flows in: what the user asked for. Flows out: checked options, the cores and bytes that a stage may use, and a way to say
how far it is. May import `errors` alone.
"""
