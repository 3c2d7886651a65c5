"""Encoding: from blocks of text to a vocabulary and shards of int32 ids.

Flows in: blocks of text. Flows out: an encoded corpus, a directory that all later stages memory-map. May import the rooms from
`_kernels` to `text`.
"""
