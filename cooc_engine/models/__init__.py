"""The registry of model families, and model files.

Flows in: trained arrays, options and provenance. Flows out: model files, checkpoints, and the vectors that a model
publishes. May import the rooms from `_kernels` to `counts`; the registry names the training functions without importing them.
"""
