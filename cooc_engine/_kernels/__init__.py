"""Everything that Numba compiles. These modules import Numba and NumPy alone."""
