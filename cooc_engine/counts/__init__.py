"""Counting: from an encoded corpus to exact co-occurrence counts.

Flows in: shards, other co-occurrence directories, or entries in any order. Flows out: a co-occurrence directory, sorted CSR in
row blocks. May import the rooms from `_kernels` to `linalg`.
"""
