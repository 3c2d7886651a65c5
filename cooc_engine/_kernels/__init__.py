"""Everything that Numba compiles.

Flows in: arrays, and NamedTuples of numbers. Flows out: nothing but what is written into arrays of the caller's. May import
Numba and NumPy alone.
"""
