"""From text to model in one call: stages, batch jobs, grids, the search for options, and the demonstration.

Flows in: texts and a job file. Flows out: all files that the job names. May import all rooms but `cli`.
"""
