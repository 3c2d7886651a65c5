"""Files of other programs, both ways.

Flows in: foreign vectors and counts. Flows out: models and co-occurrence directories, and the same the other way round. May
import the rooms from `_kernels` to `models`.
"""
