"""Files and iterables to blocks of words.

Flows in: paths, compressed or not, or documents. Flows out: blocks of decoded text, cut into words, with the place of every
fault. May import `runtime` and `storage`.
"""
