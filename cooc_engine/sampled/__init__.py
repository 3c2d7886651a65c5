"""A corpus to vectors: the models that one sampler, one trainer and one step serve.

Flows in: an encoded corpus. Flows out: a model file. May import the rooms from `_kernels` to `models`.
"""
