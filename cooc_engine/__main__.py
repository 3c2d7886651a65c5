"""`python -m cooc_engine` and the `cooc-engine` command."""

from __future__ import annotations

import io
import sys


def main() -> None:
    """Run the command line and exit with its code."""
    from cooc_engine.cli.app import main as run

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a word that the terminal cannot show is no reason to fail
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
