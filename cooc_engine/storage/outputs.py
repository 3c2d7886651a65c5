"""Atomic outputs: manifests, and files and directories built under a temporary name.

A directory is built as `NAME.part`, locked meanwhile, and renamed once its manifest has been written: whatever bears its
final name is complete. All layouts are specified in FORMAT.md.

What may not be replaced is refused when a run begins, and again under the lock: another run may finish in between.
"""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any, TypedDict, TypeGuard, TypeVar

from cooc_engine.errors import CoocError, FormatError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.runtime.numbers import show_size
from cooc_engine.runtime.options import as_flags, changed_options, changes
from cooc_engine.runtime.paths import path_of
from cooc_engine.storage.checksums import crc32
from cooc_engine.storage.holders import held
from cooc_engine.storage.inputs import record_bytes
from cooc_engine.storage.locks import locked, locked_directory, refuse_links
from cooc_engine.storage.ownership import not_ours, refuse_foreign, refuse_strangers, strangers
from cooc_engine.storage.schema import Crc, Matches, Natural, Relation, fitted, parse_json, read_json
from cooc_engine.storage.sizes import shown_size, tell_replaced

__all__ = [
    "FULL", "beside", "building", "building_file", "check_same", "clear", "directory_beside", "discard", "disk_errors",
    "is_directory_of", "is_short", "out_of_memory", "part_path", "read_manifest", "read_record", "refuse_file",
    "refuse_overwrite", "utf8", "write_files", "write_manifest", "write_record", "write_whole",
    "writing_file", "writing_files",
]  # fmt: skip
T = TypeVar("T")
RESUMES = ContextVar("RESUMES", default=False)  # whether the run at work takes --resume
SHORT = ("can't start new thread", "cannot allocate memory", "failed to map segment")  # where no type of error tells of it
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
CALLED = {"cooc": "co-occurrence directory"}  # kinds of directories whose names are not words


def _canonical(fields: Mapping[str, Any]) -> bytes:
    return utf8(json.dumps(fields, sort_keys=True, ensure_ascii=False))


def utf8(text: str) -> bytes:
    """Return a text as UTF-8; a byte of a file name that is not UTF-8, which Python has as a lone surrogate, stays escaped."""
    return text.encode(errors="backslashreplace")


def write_manifest(directory: Path, kind: str, version: int, fields: Mapping[str, Any]) -> None:
    """Write `manifest.json`, which marks a directory as complete and carries its own checksum."""
    write_record(directory / "manifest.json", {"format": f"cooc-engine {kind}", "version": version, **fields})


def write_record(path: Path, fields: Mapping[str, Any]) -> None:
    """Write a JSON file that carries its own checksum."""
    body = {**fields, "checksum": crc32(_canonical(fields))}
    write_whole(path, utf8(json.dumps(body, indent=1, ensure_ascii=False) + "\n"))


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file under a temporary name and rename it; raises as `locked` does."""
    with locked(work := part_path(path)):
        try:
            work.write_bytes(data)
            work.replace(path)
        except BaseException:
            work.unlink(missing_ok=True)
            raise


class _Sealed(TypedDict):
    """The key of every JSON file that carries its own checksum."""

    checksum: Crc


class _Head(_Sealed):
    """The keys that every manifest has."""

    format: Annotated[str, Matches("cooc-engine [a-z -]{1,40}", "cooc-engine and a kind of directory")]
    version: Natural


def read_record(path: Path, shape: type[T], *relations: Relation) -> T:
    """Return what `write_record` wrote, as the described shape; raises `FormatError` if it is damaged or does not fit."""
    fields = read_json(record_bytes(path), dict[str, Any], f"{path}")
    checksum = fitted(fields, _Sealed, f"{path}")["checksum"]
    del fields["checksum"]
    if checksum != crc32(_canonical(fields)):
        raise FormatError(f"{path}: damaged (checksum differs); pass --force to start anew")
    return fitted(fields, shape, f"{path}", *relations)


def read_manifest(directory: Path, kind: str, versions: Sequence[int], shape: type[T], *relations: Relation) -> T:
    """Return the manifest of a directory, without its checksum, as the described shape.

    Raises `InputError` if there is no such directory, `FormatError` if it is damaged, of another kind or version, or does not
    fit the description.
    """
    path, called = directory / "manifest.json", CALLED.get(kind, kind)
    if not directory.exists():
        hint = (
            f"; {part_path(directory)} was left by an interrupted run: finish it with --resume"
            if part_path(directory).exists()
            else ""
        )
        raise InputError(f"{directory}: no such {called}{hint}")
    if not path.is_file():
        what = "it has no manifest.json" if directory.is_dir() else "it is a file"
        hint = "; encode makes a corpus of a text" if kind == "corpus" and not directory.is_dir() else ""
        raise FormatError(f"{directory}: is not a {called} ({what}{hint})")
    try:
        fields = parse_json(record_bytes(path), "")
        head = fitted(fields, _Head, "")
        del fields["checksum"]
        checksum = crc32(_canonical(fields))
    except FormatError as error:
        raise FormatError(f"{path}: damaged ({str(error).removeprefix(': ')}); build it again") from None
    if head["format"] != f"cooc-engine {kind}":
        found = head["format"].removeprefix("cooc-engine ")
        raise FormatError(f"{directory}: is a {CALLED.get(found, found)}, not a {called}")
    if head["version"] not in versions:
        known = " and ".join(map(str, versions))
        raise FormatError(f"{directory}: {kind} version {head['version']}; this program reads version {known}")
    if head["checksum"] != checksum:
        raise FormatError(f"{path}: damaged (checksum differs); build it again")
    return fitted(fields, shape, str(path), *relations)


def is_directory_of(path: Path, kind: str) -> bool:
    """Tell whether the manifest of a directory names this kind; nothing else is checked."""
    try:
        return fitted(parse_json(record_bytes(path / "manifest.json"), ""), _Head, "")["format"] == f"cooc-engine {kind}"
    except (OSError, InputError):
        return False


def beside(output: Path, suffix: str) -> Path:
    """Return `output` with a suffix added to its name.

    Raises `UsageError` if it has no name, like `..` or `/`, or one that is too long with the suffix.
    """
    if output.name in ("", ".."):
        raise UsageError(f"{output}: is not the name of an output; choose another --output")
    return path_of(output.with_name(output.name + suffix))


def part_path(output: Path) -> Path:
    """Return the temporary path under which an output is built."""
    return beside(output, ".part")


def _nothing(*given: object) -> None:
    return None


@contextmanager
def disk_errors(what: Path, peak: Callable[[], int | None] = _nothing, *, resumes: bool = False) -> Iterator[None]:
    """Turn a full disk, lack of memory and Ctrl-C into errors that say how to go on: with `--resume`, if the run `resumes`.

    Files that are written on the way, such as checkpoints, belong to the run around them: their errors say the same.
    `peak` predicts the bytes of disk that the run takes in all, or returns None; it is called only when the disk is full.
    """
    resumes = resumes or RESUMES.get()
    again = "run again with --resume" if resumes else "run again"
    around = RESUMES.set(resumes)
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedRun(f"{what}: interrupted; {'continue with --resume' if resumes else again}") from None
    except Exception as error:
        if _is_full(error):
            hint = f"free some and {again}{_shortage(what, peak)}"
            raise ResourceError(f"{what}: {os.strerror(error.errno or 0)}; {hint}") from None
        if is_short(error):
            raise ResourceError(out_of_memory(what, resumes=resumes)) from None
        if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR):
            raise UsageError(f"{error.filename or what}: {error.strerror}; choose another --output") from None
        raise
    finally:
        RESUMES.reset(around)


def _is_full(error: BaseException) -> TypeGuard[OSError]:
    """Tell whether the disk is full."""
    return isinstance(error, OSError) and error.errno in FULL


def is_short(error: BaseException) -> bool:
    """Tell whether memory ran out, be it for the stack of a new thread or for a module."""
    short = isinstance(error, OSError) and error.errno == errno.ENOMEM
    return short or isinstance(error, MemoryError) or any(sign in str(error) for sign in SHORT)


def out_of_memory(what: Path | str, *, resumes: bool) -> str:
    """Return what to say when memory ran out for `what`."""
    hint = "run again with --resume and a smaller --memory" if resumes else "free some and run again"
    return f"{what}: out of memory; {hint}"


def _shortage(output: Path, peak: Callable[[], int | None]) -> str:
    """Return, for a message, how much more disk space a run is likely to take and where, and how much is free there."""
    with suppress(OSError, CoocError, MemoryError):
        needed = peak()
        if needed is not None:
            held = sum(path.stat().st_size for path in part_path(output).iterdir())
            where = output.parent.resolve()
            more, free = show_size(max(needed - held, 0)), show_size(shutil.disk_usage(where).free)
            return f": about {more} more of {show_size(needed)} is needed in {where}, where {free} is free"
    return ""


def refuse_overwrite(output: Path, work: Path, *, force: bool, resume: bool, worth: Callable[[Path], str] = shown_size) -> None:
    """Raise `UsageError` if `output` exists without `force`, or an earlier run left `work` without `force` or `resume`.

    Both are refused as by `refuse_links`, whatever the flags. `worth` tells what would be lost with the output.
    """
    refuse_links(work, output=output)
    if output.exists() and not force:
        raise UsageError(f"{output}: exists; pass --force to replace it ({worth(output)})")
    if work.exists() and not (force or resume):
        raise UsageError(f"{work}: left by an interrupted run; pass --resume to continue it or --force to start anew")
    if not output.parent.is_dir():
        raise UsageError(f"{output.parent}: no such directory; make it or choose another --output")


def check_same(
    at: Path,
    found: Mapping[str, Any],
    wanted: Mapping[str, Any],
    worth: Callable[[Path], str] = shown_size,
    flag: str = "--force",
) -> None:
    """Raise `UsageError`, naming what differs, if the record of a finished output is not the one wanted.

    `worth` tells what would be lost if it were made anew, for which `flag` has to be passed.
    """
    for what, value in wanted.items():
        if found[what] != value:
            changed = changed_options(found[what], value) if isinstance(value, dict) else what
            raise UsageError(f"{at}: was made with different {changed}; pass {flag} to replace it ({worth(at)})")


def refuse_file(output: Path, *, force: bool) -> Path:
    """Return the temporary path of an output file; raises as `refuse_overwrite` does, and if it is a directory.

    Files are always written from the start: a leftover temporary file is no obstacle.
    """
    work = part_path(output)
    refuse_overwrite(output, work, force=force, resume=True)
    if output.is_dir():
        raise UsageError(f"{output}: is a directory; choose another output")
    return work


@contextmanager
def writing_file(output: Path, *, force: bool) -> Iterator[Path]:
    """Lock and yield the temporary path of an output, which is deleted after an error; whoever writes it then renames it.

    Raises as `refuse_file` does, and `UsageError` if another run is writing the output.
    """
    with locked(part := refuse_file(output, force=force)):
        try:
            refuse_file(output, force=force)  # another run may just have finished
            yield part
        except BaseException:
            part.unlink(missing_ok=True)
            raise


@contextmanager
def writing_files(outputs: Sequence[Path], *, force: bool) -> Iterator[list[Path]]:
    """Yield a temporary path for each output; at the end the files are renamed to the outputs, or after an error deleted.

    The outputs appear one after the other, each of them whole. Raises as `writing_file` does, before any of them is written.
    """
    for output in outputs:
        refuse_file(output, force=force)
    with disk_errors(outputs[0]), ExitStack() as held:
        parts = [held.enter_context(writing_file(output, force=force)) for output in outputs]
        yield parts
        for part, output in zip(parts, outputs, strict=True):
            part.replace(output)


def write_files(contents: Mapping[Path, bytes], *, force: bool = False) -> None:
    """Write whole files, as `writing_files` does."""
    with writing_files([*contents], force=force) as parts:
        for part, data in zip(parts, contents.values(), strict=True):
            part.write_bytes(data)


@contextmanager
def building(
    output: Path,
    plan: Mapping[str, Any],
    members: Sequence[str],
    *,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    peak: Callable[[], int | None] = _nothing,
    say: Callable[[str], object] = _nothing,
) -> Iterator[Path]:
    """Yield the directory `OUTPUT.part` to build in, and rename it to `output` when the block ends without an error.

    `plan` holds everything that determines the content; a resumed run must have an equal one. `members` are the names of the
    files that are made, as patterns: whatever else is there is someone's own, and `UsageError` is raised, since it would be
    lost, or be taken for a part of the result. After Ctrl-C, a full disk or lack of memory the directory is kept for
    `--resume`; after any other error it is removed. `peak` is as in `disk_errors`, `take_over` as in `held`, and `say` is told
    what `force` throws away.
    """
    work, old = part_path(output), beside(output, ".old")
    refuse_overwrite(output, work, force=force, resume=resume)
    refuse_links(old)
    for directory in (output, work):
        refuse_foreign(directory, plan.get("kind", ""), members)
    if output.exists() and old.exists() and not _is_on_its_way_out(old):
        raise UsageError(f"{old}: is in the way; {output} must be moved there briefly; remove it")

    def finish() -> None:
        for left in (*work.glob("*.part"), work / "plan.json", work / "lock"):
            left.unlink(missing_ok=True)
        _replace_directory(work, output, old)

    at_work = _at_work(output, plan, members, finish, say, force=force, resume=resume, take_over=take_over or force)
    with disk_errors(output, peak, resumes=True), at_work:
        yield work


@contextmanager
def building_file(
    output: Path,
    plan: Mapping[str, Any],
    members: Sequence[str],
    *,
    force: bool = False,
    resume: bool = False,
    take_over: bool = False,
    say: Callable[[str], object] = _nothing,
) -> Iterator[Path]:
    """Yield the directory `OUTPUT.part` to build a file in, as `building` does; its file named OUTPUT becomes the output."""
    work = part_path(output)
    refuse_overwrite(output, work, force=force, resume=resume)
    if output.is_dir():
        raise not_ours(output)
    members = [*members, glob.escape(output.name)]
    refuse_foreign(work, plan.get("kind", ""), members)

    def finish() -> None:
        (work / output.name).replace(output)
        shutil.rmtree(work, ignore_errors=True)  # another run may be about to lock it

    at_work = _at_work(output, plan, members, finish, say, force=force, resume=resume, take_over=take_over or force)
    with disk_errors(output, resumes=True), at_work:
        yield work


@contextmanager
def _at_work(
    output: Path,
    plan: Mapping[str, Any],
    members: Sequence[str],
    finish: Callable[[], None],
    say: Callable[[str], object],
    *,
    force: bool,
    resume: bool,
    take_over: bool,
) -> Iterator[None]:
    """Lock a directory to build in, and `finish` it when the block ends; remove it after an error, if no run can resume it."""
    work = part_path(output)
    with locked_directory(work), held(work / "lock", take_over=take_over):
        _refuse_finished(output, work, force=force)
        if force:
            tell_replaced(output, work, say)
        _keep_or_clear(work, parse_json(_canonical(plan), "the plan"), resume=resume)
        try:
            yield
        except BaseException as error:
            stopped = isinstance(error, (KeyboardInterrupt, InterruptedRun, ResourceError))
            if not (stopped or _is_full(error) or is_short(error) or strangers(work, members)):
                shutil.rmtree(work)
            raise
        refuse_strangers(strangers(work, members))
        finish()


def _refuse_finished(output: Path, work: Path, *, force: bool) -> None:
    """Raise as `refuse_overwrite` does if another run made the output until the lock was free; nothing is then left of this."""
    try:
        refuse_overwrite(output, work, force=force, resume=True)
    except UsageError:
        if [path.name for path in work.iterdir()] == ["lock"]:
            shutil.rmtree(work)
        raise


@contextmanager
def directory_beside(directory: Path) -> Iterator[None]:
    """Provide a directory, empty but for its lock, while a block runs; leftovers of a killed run are deleted first.

    Raises `UsageError` if anything else has that name, and as `locked_directory` does.
    """
    refuse_links(directory)
    if directory.exists() and not (directory.is_dir() and _is_on_its_way_out(directory)):
        raise UsageError(f"{directory}: is in the way; remove it")
    with locked_directory(directory):
        _empty(directory)
        try:
            yield
        finally:
            discard(directory)


def _keep_or_clear(work: Path, plan: dict[str, Any], *, resume: bool) -> None:
    """When resuming, keep what an earlier run with the same plan left; otherwise empty the directory."""
    record = work / "plan.json"
    if resume and record.is_file():
        earlier = _earlier_plan(record)
        if earlier == plan:
            for left in work.glob("*.part"):  # the attempts of workers that were lost
                left.unlink(missing_ok=True)
            return
        if earlier is not None:
            changed = changes(_flat(earlier), _flat({**dict.fromkeys(earlier), **plan}))
            raise UsageError(f"{work}: was begun with different {changed}; pass --force to start anew")
    clear(work)
    write_whole(record, _canonical(plan))


def _flat(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a plan and its options, named by their flags, in one dictionary."""
    return {**{key: value for key, value in plan.items() if key != "options"}, **as_flags(plan.get("options") or {})}


def _earlier_plan(record: Path) -> dict[str, Any] | None:
    """Return the plan that a run left, or None if it is damaged: then nothing that lies beside it can be trusted."""
    try:
        plan = read_json(record_bytes(record), dict[str, Any], f"{record}")
    except FormatError:
        return None
    return plan if isinstance(plan.get("options") or {}, dict) else None


def clear(work: Path) -> None:
    """Delete everything that an interrupted run left in a directory being built, except its lock and its plan."""
    # The manifest goes first: a half-deleted directory must not look complete.
    for path in sorted(work.iterdir(), key=lambda path: path.name != "manifest.json"):
        if path.name not in ("lock", "plan.json"):
            path.unlink()


def _replace_directory(work: Path, output: Path, old: Path) -> None:
    if output.exists():
        with locked(output / "lock"):  # the file marks it for deletion, by the next run if this one is killed
            pass
        discard(old)
        output.rename(old)
    work.rename(output)
    (output / "lock").unlink(missing_ok=True)  # of a run that was about to begin
    discard(old)


def _is_on_its_way_out(old: Path) -> bool:
    return (old / "lock").is_file() or not any(old.iterdir())


def discard(old: Path) -> None:
    """Delete a directory if it holds a file named lock, which marks it as disposable and is deleted last."""
    if old.is_dir() and not old.is_symlink() and _is_on_its_way_out(old):
        _empty(old)
        (old / "lock").unlink(missing_ok=True)
        old.rmdir()


def _empty(directory: Path) -> None:
    """Delete all that is in a directory but its lock; links in it are not followed."""
    for path in directory.iterdir():
        if path.name != "lock":
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
