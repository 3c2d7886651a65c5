"""Linear algebra, independent of words: sparse products and the truncated SVD.

Flows in: a CSR matrix, in memory or mapped. Flows out: products and factors. May import the rooms from `_kernels` to
`storage`.
"""
