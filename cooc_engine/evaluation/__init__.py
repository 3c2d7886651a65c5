"""Judging and comparing vectors.

Flows in: vectors, and sets of words that people judged. Flows out: scores with their intervals. May import the rooms from
`_kernels` to `vectors`.
"""
