"""Evaluating and comparing vectors.

Flows in: vectors, and test sets with human judgements. Flows out: scores with confidence intervals. May import the rooms from
`_kernels` to `vectors`.
"""
