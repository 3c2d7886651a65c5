"""The one-line message about arguments that cannot be parsed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from cyclopts import App, CycloptsError
from cyclopts.exceptions import MissingArgumentError, UnknownCommandError, UnknownOptionError

from cooc_engine.cli.foreign_flags import given
from cooc_engine.errors import CoocError

__all__ = ["commands", "explanation"]

ALIKE = 0.7  # similarity above which a flag is taken for a misspelling of another
MOST = 4  # commands that are named
SHARING, TRAINING = ("--processes", "--cluster"), "checkpoint-every"  # flags of work that is shared, and one of every training
TEXT = "The text is an argument, before the flags: {command} TEXT --output FILE."
PROGRESS = "Pass --progress, with auto, bar, lines, json or none."
ELSEWHERE = {  # flags of other programs that have no counterpart of one flag here
    "--sg": "Choose the model by name: train skipgram or train cbow.",
    "--cbow": "Choose the model by name: train skipgram or train cbow.",
    "--hs": "Pass --loss hs.",
    "--input": TEXT,
    "--train": TEXT,
    "--lrUpdateRate": "The learning rate is recomputed for each piece of the text; leave it out.",
    "--saveOutput": "Output vectors are in every model: export --vectors c writes them.",
    "--verbose": PROGRESS,
    "--debug": PROGRESS,
    "--binary": "export writes the format that the name of the file tells, or --format.",
    "--vocab": "A vocabulary is that of a corpus or of counts: encode --vocabulary DIRECTORY.",
    "--alpha": "The learning rate is --lr; GloVe's exponent is --weight-power.",
}
RETRAIN = "The model is an argument, before the flags; a text to retrain it on is --retrain TEXT."
WRITERS = ("align", "export", "export-counts", "import")  # commands whose output is their last argument
COMMANDS = {  # commands and models of other programs
    "word2vec": "train skipgram or train cbow",
    "skipgram": "train skipgram, or train fasttext for a model with n-grams",
    "cbow": "train cbow, or train fasttext --model cbow for a model with n-grams",
    "print-word-vectors": "vector",
    "print-sentence-vectors": "sentence-vector",
    "print-ngrams": "get-subwords",
    "dump": "info",
    "distance": "nn",
    "word-analogy": "analogies",
    "compute-accuracy": "eval",
}


def explanation(error: CycloptsError, root: App) -> str:
    """Return what is wrong, in one line: what our own checks say, if one of them failed, or else what the parser says."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, CoocError):
            return cause.flags
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, UnknownOptionError):
        text = _unknown_option(error, root)
    elif isinstance(error, UnknownCommandError):
        text = _unknown_command(error, root)
    elif isinstance(error, MissingArgumentError):
        text = _missing(error)
    else:
        text = str(error)
    return " ".join(given(text).split())


def _unknown_option(error: UnknownOptionError, root: App) -> str:
    flag = (error.token.keyword or error.token.value).partition("=")[0]
    return f"Unknown option: {flag}. {_hint(flag, error, root)}"


def _missing(error: MissingArgumentError) -> str:
    """Return which argument or flag is missing, or which flag has no value."""
    assert error.argument is not None, "the parser names what is missing"
    command = " ".join(error.command_chain or ())
    if error.keyword:
        return f"{error.keyword} needs a value"
    return f"{command} needs {error.argument.name}; cooc-engine help {command} explains it"


def _unknown_command(error: UnknownCommandError, root: App) -> str:
    """Return what a command is called here that is one of another program, or one of a group, such as `train glove`."""
    name = next(iter(error.unused_tokens or ()), "")
    if name in COMMANDS:
        return f'Unknown command "{name}". Use {COMMANDS[name]}.'
    homes = [" ".join(path) for path, _ in commands(root) if path[-1] == name]
    return str(error) + (f" Did you mean {homes[0]}?" if homes else "")


def _hint(flag: str, error: UnknownOptionError, root: App) -> str:
    """Return a flag that may have been meant, or the commands that have this one; empty rather than far-fetched."""
    chain = " ".join(error.command_chain or ())
    if flag in ELSEWHERE:
        return RETRAIN if (chain, flag) == ("quantize", "--input") else ELSEWHERE[flag].format(command=chain)
    if flag == "--output" and chain in WRITERS:
        return "The file to write is the last argument, without a flag."
    names = {name.lstrip("-"): name for argument in error.argument_collection if argument.parse for name in argument.names}
    if flag in SHARING and TRAINING in names:
        return "This model is trained by one process: use the flag for encode and count, and train on the result without it."
    near = difflib.get_close_matches(flag.lstrip("-"), names, 1, ALIKE)
    if near:
        return f"Did you mean {names[near[0]]}?"
    homes = [" ".join(path) for path, command in commands(root) if flag in _flags(command)]
    more = f" and {len(homes) - MOST} more" if len(homes) > MOST else ""
    return f"It belongs to {', '.join(homes[:MOST])}{more}." if homes else ""


def commands(app: App, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield every command that is not a group of commands, with its names."""
    inner = [name for name in app if not name.startswith("-")]
    if not inner:
        yield path, app
    for name in inner:
        yield from commands(app[name], (*path, name))


def _flags(command: App) -> set[str]:
    return {name for argument in command.assemble_argument_collection() if argument.show for name in argument.names}
