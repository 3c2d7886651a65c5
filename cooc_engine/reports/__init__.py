"""Comparison pages, pictures and tables.

Flows in: models and their scores. Flows out: HTML, PNG and plain-text tables. May import the rooms from `_kernels` to
`evaluation`.
"""
