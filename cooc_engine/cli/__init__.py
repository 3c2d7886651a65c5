"""The command line: one function per verb, each of which calls one of the library.

Flows in: arguments. Flows out: results on stdout, errors on stderr, an exit code. May import every room; nothing imports
it.
"""
