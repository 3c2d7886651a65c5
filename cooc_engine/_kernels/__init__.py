"""All code that Numba compiles.

Flows in: arrays, and NamedTuples of arrays and numbers. Flows out: results, written into arrays that the caller allocates. May
import Numba and NumPy alone.
"""
