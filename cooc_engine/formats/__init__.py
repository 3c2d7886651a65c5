"""Import and export of other programs' files.

Flows in: foreign vectors and counts. Flows out: models and co-occurrence directories; and the reverse for export. May
import the rooms from `_kernels` to `models`.
"""
