"""The command line: each verb calls one library function and shows what it returns.

A command loads only its own verb, which imports what it needs when it runs, so that commands start quickly.
"""

from __future__ import annotations

import difflib
import errno
import functools
import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Group, Parameter

from cooc_engine._version import __version__
from cooc_engine.cli.console import fail, print_lines, show_notices
from cooc_engine.cli.foreign_flags import modern, values
from cooc_engine.cli.hints import explanation
from cooc_engine.cli.parameters import add_verb, new_app
from cooc_engine.errors import CoocError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.runtime.interrupts import interrupts
from cooc_engine.runtime.limits import check_limits
from cooc_engine.runtime.streams import ReaderGone, speak_json
from cooc_engine.storage.outputs import FULL, is_short, out_of_memory

__all__ = ["command_line", "main", "program"]

# All verbs by purpose, in the order of the help, and then by the module that defines them.
VERBS = {
    "From text to counts": {"counts": "encode count count-pairs merge append"},
    "Models": {
        "training": "train run",
        "classifier": "autotune",
        "documents": "infer",
        "contextual": "embed",
        "exchange": "quantize align index",
    },
    "Queries": {
        "ask": "nn related similar analogies similarity n-similarity doesnt-match vector get-subwords norms sentence-vector "
        "sentence-similarity keywords"
    },
    "Classification": {"classifier": "predict predict-prob test test-label"},
    "Pictures": {"pictures": "plot explore"},
    "Evaluation": {"judge": "eval compare cluster classify ratio info", "contextual": "probe"},
    "Other programs": {"exchange": "export import", "counts": "export-counts import-counts"},
    "Getting started": {"setup": "demo warm", "app": "help"},
}
NOWHERE = "No usable temporary directory"  # as `tempfile` says where nothing can be written
FUNCTIONS = {"run": "run_job", "import": "import_file", "eval": "evaluate"}  # that cannot be named after their verbs
GROUPS = {title: Group(title, sort_key=place) for place, title in enumerate(VERBS)}
HOMES = {
    verb: (module, GROUPS[title])
    for title, modules in VERBS.items()
    for module, verbs in modules.items()
    for verb in verbs.split()
}

app = new_app(
    "cooc-engine",
    "From text to co-occurrence statistics and word vectors on one machine.",
    version=__version__,
    version_flags=["--version", "-V"],
    group_commands=Group("Flags", sort_key=99),
    help_format="plaintext",
    result_action="return_value",
)


app["--help"].help = "Print this help."
app["--version"].help = "Print the version."


def command_line(verb: str | None = None) -> App:
    """Return the command line with this verb loaded, or with all verbs if there is no such verb."""
    for name in [verb] if verb in HOMES else HOMES:
        _load(name)
    return app


@functools.cache
def _load(verb: str) -> None:
    """Add a verb to the command line."""
    home, group = HOMES[verb]
    module = importlib.import_module(f"cooc_engine.cli.{home}")
    function = getattr(module, FUNCTIONS.get(verb, verb.replace("-", "_")))
    add_verb(app, function, verb, group)


def help(command: Annotated[tuple[str, ...], Parameter(name="COMMAND...")] = (), /) -> None:
    """Show the help of a command.

    For example:

        cooc-engine help train glove
    """
    found = command_line()
    for word in command:
        if word not in found:
            near = difflib.get_close_matches(word, [*found], 1)
            raise UsageError(f"there is no command {' '.join(command)!r}{f'; did you mean {near[0]}?' if near else ''}")
        found = found[word]
    app.help_print([*command])


def install_completion(
    *, shell: Annotated[Literal["bash", "zsh", "fish"] | None, "The shell; by default the one that you are using."] = None
) -> None:
    """Install completion of verbs and flags by TAB for your shell, in your home directory."""
    from cyclopts.completion import ShellDetectionError

    try:
        script = command_line().install_completion(shell=shell)
    except ShellDetectionError:
        raise UsageError("the shell is not known; pass --shell bash, zsh or fish") from None
    print_lines([f"{script}: written, and loaded by new shells"])


add_verb(app, install_completion, "--install-completion")


def program(arguments: Sequence[str]) -> int:
    """Run a command line as `main` does, and say so if it first has to wait for kernels to be compiled."""
    if "none" not in values("--progress", arguments):
        show_notices()
    return main(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run a command line; returns the exit code. Errors are one line on stderr, or a JSON object if JSON was asked for."""
    given = modern(arguments)
    with speak_json(any(word.partition("=")[0] == "--json" for word in given) or "json" in values("--progress", given)):
        try:
            with interrupts():
                failure = _failure(given)
        except KeyboardInterrupt as error:  # while it was found out what to say about another failure
            failure = _mishap(error, given)
        return fail(*failure) if failure else 0


def _failure(arguments: Sequence[str]) -> tuple[str, int] | None:
    """Run a command line; returns the message and the exit code of what went wrong."""
    try:
        check_limits()
        command_line(*arguments[:1])
        app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except ReaderGone:
        return None
    except CycloptsError as error:
        return explanation(error, command_line()), UsageError.exit_code
    except CoocError as error:
        return error.flags, error.exit_code
    except (ImportError, KeyboardInterrupt, MemoryError, OSError, RuntimeError) as error:
        return _mishap(error, arguments)
    return None


def _mishap(error: BaseException, arguments: Sequence[str]) -> tuple[str, int]:
    """Return the message and the exit code of what the system did to a run; raises what is not the system's doing."""
    if isinstance(error.__cause__ or error, KeyboardInterrupt):  # Python wraps what stops the making of a class
        return "interrupted; what was finished is kept", InterruptedRun.exit_code
    if is_short(error):
        return _out_of_memory(arguments), ResourceError.exit_code
    if not isinstance(error, OSError):
        raise error
    what = error.strerror or str(error)
    told = f"{error.filename}: {what}" if error.filename else what
    if error.errno in (errno.EMFILE, errno.ENFILE):
        return f"{told}; raise ulimit -n and run again", ResourceError.exit_code
    if error.errno in FULL or what.startswith(NOWHERE):
        return f"{told}; free some disk and run again", ResourceError.exit_code
    return told, InputError.exit_code


def _out_of_memory(arguments: Sequence[str]) -> str:
    """Return what to do when memory ran out outside of the run's own work, as while a module was loaded."""
    outputs = values("--output", arguments)
    if outputs:
        return out_of_memory(outputs[-1], resumes="--resume" in arguments)
    return "out of memory; take less text at a time or a machine with more"
