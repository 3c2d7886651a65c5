"""ELMo: a character network gives each word a vector, and two language models give it one in its sentence.

Flows in: an encoded corpus, or words. Flows out: a model file, or vectors of words in context. May import the rooms from
`_kernels` to `sampled`.
"""
