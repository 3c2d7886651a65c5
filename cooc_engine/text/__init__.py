"""Files and iterables to blocks of words.

Flows in: paths, compressed or not, or documents. Flows out: blocks of text cut at white space; an error names the place of
its cause. May import `runtime` and `storage`.
"""
