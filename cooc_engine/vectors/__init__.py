"""Querying vectors: neighbours, analogies, similarities, alignments, labels of lines; and making models small.

Flows in: a model file, or vectors in any format. Flows out: answers. May import the rooms from `_kernels` to `formats`.
"""
