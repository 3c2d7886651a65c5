"""The version of the package, imported by whatever records it."""

__version__ = "0.1.0"
