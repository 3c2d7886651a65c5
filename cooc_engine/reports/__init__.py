"""Pages and pictures.

Flows in: models and their scores. Flows out: HTML, PNG, and tables as text. May import the rooms from `_kernels` to
`evaluation`.
"""
