"""Models trained on the text itself, which share one sampler, one trainer and one training step.

Flows in: an encoded corpus. Flows out: a model file. May import the rooms from `_kernels` to `models`.
"""
