"""Blocks of words to a vocabulary and int32 shards.

Flows in: blocks of text. Flows out: an encoded corpus, a directory that every later stage maps. May import the rooms from
`_kernels` to `text`.
"""
