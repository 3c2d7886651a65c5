"""Arrays, directories and HDF5 elements on disk, written atomically: complete, or not there at all.

Flows in: arrays and records. Flows out: files with checksums, memory-mapped when they are read. May import `runtime`.
"""
