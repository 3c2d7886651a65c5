"""Arrays, directories and HDF5 elements on disk: whole, or not there.

Flows in: arrays and records. Flows out: files with checksums, mapped when they are read again. May import `runtime`.
"""
