"""From text to model in one call: stages, jobs, grids, the demonstration.

Flows in: text and a job. Flows out: every file that the job names. May import all rooms but `cluster` and `cli`.
"""
