"""Models trained on counts: GloVe, simpler-GloVe, PMI and PMI-SVD.

Flows in: a co-occurrence directory. Flows out: a model file. May import the rooms from `_kernels` to `models`.
"""
