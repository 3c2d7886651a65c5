"""`python -m cooc_engine` and the `cooc-engine` command."""

from __future__ import annotations

import gc
import signal
import sys
import warnings

from cooc_engine.runtime.streams import guard_streams
from cooc_engine.runtime.truncation import explain_truncation


def main() -> None:
    """Run the command line and exit with its code."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # outside of the run, Ctrl-C ends the process without a traceback
    guard_streams()
    gc.set_threshold(10_000)  # hardly anything that is imported becomes garbage, and looking for it takes long
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what is wrong with numbers is found by checks, and told in one line
    explain_truncation()
    from cooc_engine.cli.app import program

    sys.exit(program(sys.argv[1:]))


if __name__ == "__main__":
    main()
