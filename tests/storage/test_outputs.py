"""Array files, manifests, and directories that are whole or not there."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cooc_engine.errors import CoocError, FormatError, InputError, InterruptedRun, ResourceError, UsageError
from cooc_engine.storage import arrays, outputs
from cooc_engine.storage.arrays import ArrayWriter, is_whole, load_array, open_array
from cooc_engine.storage.locks import locked
from cooc_engine.storage.outputs import building, read_manifest, write_manifest

KIND, VERSION = "thing", 3
PLAN = {"kind": KIND, "options": {"window": 5}, "texts": ["ä"]}


def write(path: Path, *pieces, dtype=np.int32) -> Path:
    with ArrayWriter(path, dtype) as file:
        for piece in pieces:
            file.append(np.asarray(piece, dtype))
    return path


def fails(function, *arguments, kind: type[CoocError] = FormatError, says: str) -> None:
    """The call raises one line of this kind that names the path and the cause."""
    with pytest.raises(kind) as caught:
        function(*arguments)
    assert type(caught.value) is kind
    assert "\n" not in str(caught.value)
    assert str(arguments[0]) in str(caught.value)
    assert re.search(says, str(caught.value)), caught.value


# --------------------------------------------------------------------------------------------------------- array files


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64, np.uint32, np.float32, np.uint64])
@pytest.mark.parametrize("pieces", [[], [[]], [[1]], [[1, 2], [], [3]], [range(200)]])
def test_array_round_trip(tmp_path, dtype, pieces):
    path = write(tmp_path / "a", *pieces, dtype=dtype)
    values = load_array(path, dtype)
    assert values.tolist() == [value for piece in pieces for value in piece]
    assert values.dtype == dtype and not (values.size and values.flags.writeable)
    assert is_whole(path, dtype)


def test_the_header_is_as_the_format_says(tmp_path):
    data = write(tmp_path / "a", [1, 2, -1], dtype=np.int64).read_bytes()
    body = np.array([1, 2, -1], "<i8").tobytes()
    assert data[:8] == b"COOC-ARR"
    assert data[8:16] == (1).to_bytes(4, "little") + b"<i8\0"
    assert data[16:24] == (3).to_bytes(8, "little")
    assert data[24:28] == zlib.crc32(body).to_bytes(4, "little")
    assert data[28:32] == zlib.crc32(data[:28]).to_bytes(4, "little")
    assert data[32:] == bytes(32) + body


def test_arrays_are_mapped(tmp_path):
    path = write(tmp_path / "a", range(1000))
    with pytest.raises(ValueError, match="read-only"):
        open_array(path, np.int32)[0] = 1


def test_big_endian_values_are_stored_little(tmp_path):
    path = tmp_path / "a"
    with ArrayWriter(path, ">i4") as file:
        file.append(np.arange(3, dtype=">i4"))
    assert load_array(path, np.int32).tolist() == [0, 1, 2]


def test_missing_array(tmp_path):
    fails(load_array, tmp_path / "a", np.int32, says="missing; the directory is damaged")


def test_an_error_while_writing_leaves_no_header(tmp_path):
    with pytest.raises(RuntimeError), ArrayWriter(tmp_path / "a", np.int32) as file:
        file.append(np.arange(10, dtype=np.int32))
        raise RuntimeError
    assert (tmp_path / "a").read_bytes()[:64] == bytes(64)
    assert not is_whole(tmp_path / "a", np.int32)
    fails(load_array, tmp_path / "a", np.int32, says="half-written")


def test_every_truncation_is_found(tmp_path):
    data = write(tmp_path / "whole", range(20)).read_bytes()
    path = tmp_path / "a"
    for size in range(len(data)):
        path.write_bytes(data[:size])
        assert not is_whole(path, np.int32)
        fails(load_array, path, np.int32, says="half-written" if size < 64 else "truncated")
    path.write_bytes(data + b"x")
    fails(load_array, path, np.int32, says="145 bytes, its header promises 144")


def test_every_flipped_byte_is_found(tmp_path):
    data = write(tmp_path / "whole", range(20)).read_bytes()
    path = tmp_path / "a"
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :])
        fails(load_array, path, np.int32, says="damaged" if place >= 8 else "not an array file")
        assert not is_whole(path, np.int32), "a run that goes on would keep it"


def test_another_type(tmp_path):
    path = write(tmp_path / "a", [1], dtype=np.int64)
    fails(load_array, path, np.int32, says="holds values of type '<i8', expected <i4")
    assert not is_whole(path, np.int32)


def test_another_version(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(arrays, "VERSION", 2)
        path = write(tmp_path / "a", [1])
    fails(load_array, path, np.int32, says="version 2; this program reads version 1")


# ----------------------------------------------------------------------------------------------------------- manifests


@pytest.fixture
def thing(tmp_path) -> Path:
    path = tmp_path / "thing"
    path.mkdir()
    write_manifest(path, KIND, VERSION, {"tokens": 7, "texts": ["ä b"]})
    return path


def read(path: Path):
    return read_manifest(path, KIND, [VERSION], dict[str, Any])


def test_manifest_round_trip(thing):
    assert read(thing) == {"format": "cooc-engine thing", "version": 3, "tokens": 7, "texts": ["ä b"]}
    assert [path.name for path in thing.iterdir()] == ["manifest.json"]


def test_a_name_that_is_not_utf_8_is_kept(thing):
    fields = {"texts": [os.fsdecode(b"t\xff"), "é"]}
    write_manifest(thing, KIND, VERSION, fields)
    assert read(thing)["texts"] == fields["texts"]


def test_no_directory(tmp_path):
    fails(read, tmp_path / "thing", kind=InputError, says="no such thing$")
    (tmp_path / "thing.part").mkdir()
    fails(read, tmp_path / "thing", kind=InputError, says=r"thing\.part was left by an interrupted run")


def test_no_manifest(tmp_path):
    fails(read, tmp_path, says="is not a thing")
    (tmp_path / "file").write_text("x")
    fails(read, tmp_path / "file", says="is not a thing")


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '"text"', "7", "{}", '{"checksum": 1}', "\udcff", '[{"checksum": 1}]'])
def test_a_manifest_that_is_none(thing, text):
    (thing / "manifest.json").write_bytes(text.encode(errors="surrogateescape"))
    fails(read, thing, says="damaged")


def test_every_truncation_of_a_manifest_is_found(thing):
    data = (thing / "manifest.json").read_bytes()
    for size in range(len(data) - 2):  # without its last line end it is still whole
        (thing / "manifest.json").write_bytes(data[:size])
        fails(read, thing, says="damaged")


@pytest.mark.parametrize("old, new", [('"tokens": 7', '"tokens": 8'), ("ä b", "ä c"), ('"tokens"', '"tokems"')])
def test_a_changed_value_is_found(thing, old, new):
    path = thing / "manifest.json"
    assert old in path.read_text("utf-8")
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    fails(read, thing, says="checksum differs")


def test_another_kind_and_another_version(thing):
    with pytest.raises(FormatError, match=f"{thing}: is a thing, not a corpus"):
        read_manifest(thing, "corpus", [VERSION], dict[str, Any])
    with pytest.raises(FormatError, match=f"{thing}: thing version 3; this program reads version 2"):
        read_manifest(thing, KIND, [2], dict[str, Any])


# ------------------------------------------------------------------------------------------------------------ building


FILES = ("data", "runs.json")


def build(output: Path, content: bytes = b"content", plan=PLAN, **how) -> None:
    with building(output, plan, FILES, **how) as work:
        (work / "data").write_bytes(content)
        write_manifest(work, KIND, VERSION, {"size": len(content)})


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def leave_part(output: Path, error=KeyboardInterrupt, raised=InterruptedRun) -> None:
    """An earlier run was stopped when its first file was written."""
    with pytest.raises(raised), building(output, PLAN, FILES) as work:
        (work / "data").write_bytes(b"first half")
        raise error


def test_built_whole(tmp_path):
    build(tmp_path / "out")
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == ["data", "manifest.json"]


@pytest.mark.parametrize("error", [ValueError, InputError("x"), OSError(errno.EIO, "x"), SystemExit])
def test_nothing_is_left_after_an_error(tmp_path, error):
    with pytest.raises(BaseException) as caught, building(tmp_path / "out", PLAN, FILES) as work:
        (work / "data").write_bytes(b"x")
        raise error
    assert caught.type is (error if isinstance(error, type) else type(error))
    assert names(tmp_path) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_leaves_what_can_be_resumed(tmp_path, number):
    says = rf"out: {os.strerror(number)}; free some and run again with resume=True"
    with pytest.raises(ResourceError, match=says), building(tmp_path / "out", PLAN, FILES) as work:
        (work / "data").write_bytes(b"x")
        raise OSError(number, "x")
    assert names(tmp_path) == ["out.part"]


def test_a_full_disk_says_what_is_needed_and_where(tmp_path):
    with pytest.raises(ResourceError) as caught, building(tmp_path / "out", PLAN, FILES, peak=lambda: 5 << 30) as work:
        (work / "data").write_bytes(bytes(1 << 20))
        raise OSError(errno.ENOSPC, "x")
    assert f"run again with resume=True: about 5.0G more of 5.0G is needed in {tmp_path}, where " in str(caught.value)


@pytest.mark.parametrize("peak", [lambda: None, lambda: Path("/not/there").stat().st_size])
def test_what_cannot_be_predicted_is_not_said(tmp_path, peak):
    with pytest.raises(ResourceError, match=r"with resume=True$"), building(tmp_path / "out", PLAN, FILES, peak=peak):
        raise OSError(errno.ENOSPC, "x")


def test_no_memory_leaves_what_can_be_resumed(tmp_path):
    says = r"out of memory; run again with resume=True and a smaller memory"
    with pytest.raises(ResourceError, match=says), building(tmp_path / "out", PLAN, FILES) as work:
        (work / "data").write_bytes(b"x")
        raise MemoryError
    assert names(tmp_path) == ["out.part"]


def test_a_replacement_that_was_killed_between_its_names_leaves_nothing(tmp_path, monkeypatch):
    output, rename = tmp_path / "out", Path.rename
    build(output, b"old")

    def killed(path, target):
        if path.suffix == ".part":
            raise KeyboardInterrupt
        return rename(path, target)

    with monkeypatch.context() as patch, pytest.raises(InterruptedRun):
        patch.setattr(Path, "rename", killed)
        build(output, b"new", force=True)
    assert names(tmp_path) == ["out.old", "out.part"]
    build(output, b"new", force=True, resume=True)
    assert contents(output) == contents_of_a_new_one(tmp_path, b"new")
    assert names(tmp_path) == ["out"]


def contents_of_a_new_one(tmp_path, data):
    build(tmp_path / "another", data)
    found = contents(tmp_path / "another")
    shutil.rmtree(tmp_path / "another")
    return found


def test_a_directory_that_someone_put_aside_is_never_deleted(tmp_path):
    build(tmp_path / "out", b"kept")
    (tmp_path / "out").rename(tmp_path / "out.old")
    build(tmp_path / "out", b"new")
    assert (tmp_path / "out.old" / "data").read_bytes() == b"kept"
    with pytest.raises(UsageError, match=r"out\.old: is in the way"):
        build(tmp_path / "out", b"newer", force=True)
    assert (tmp_path / "out.old" / "data").read_bytes() == b"kept"


def test_half_of_a_small_file_does_not_stay(tmp_path):
    leave_part(tmp_path / "out")
    (tmp_path / "out.part" / "runs.json.part").write_bytes(b"[")
    build(tmp_path / "out", resume=True)
    assert not [name for name in names(tmp_path / "out") if name.endswith(".part")]


def test_interrupted_refused_resumed(tmp_path):
    output = tmp_path / "out"
    leave_part(output)
    assert names(tmp_path) == ["out.part"]
    fails(build, output, kind=UsageError, says=r"out\.part: left by an interrupted run; pass resume=True .* or force=True")
    seen = []
    with building(output, PLAN, FILES, resume=True) as work:
        seen = names(work)
        (work / "data").write_bytes(b"content")
        write_manifest(work, KIND, VERSION, {"size": 7})
    assert "data" in seen
    build(tmp_path / "other")
    assert contents(output) == contents(tmp_path / "other")
    assert names(tmp_path) == ["other", "out"]


def test_resuming_nothing_begins(tmp_path):
    build(tmp_path / "out", resume=True)
    assert names(tmp_path) == ["out"]


def test_resumed_with_other_options_is_refused_and_keeps_the_work(tmp_path):
    output = tmp_path / "out"
    leave_part(output)
    changed = {**PLAN, "texts": ["b"], "more": 1}
    with pytest.raises(UsageError, match=r"begun with different texts, more \(None, now 1\); pass force=True"):
        build(output, plan=changed, resume=True)
    assert (tmp_path / "out.part" / "data").read_bytes() == b"first half"
    build(output, plan=changed, force=True)
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("plan", ["{", '{"options": 32768}', '{"options": "stranger:cut"}'])
def test_an_unreadable_plan_begins_anew(tmp_path, plan):
    leave_part(tmp_path / "out")
    (tmp_path / "out.part" / "plan.json").write_text(plan)
    with building(tmp_path / "out", PLAN, FILES, resume=True) as work:
        assert names(work) == ["lock", "plan.json"]
        write_manifest(work, KIND, VERSION, {})


def test_killed_between_manifest_and_name(tmp_path):
    """The lock is gone already, the name not yet there."""
    leave_part(tmp_path / "out")
    part = tmp_path / "out.part"
    write_manifest(part, KIND, VERSION, {})
    for name in ("lock", "plan.json"):
        (part / name).unlink()
    build(tmp_path / "out", resume=True)
    assert names(tmp_path) == ["out"]


def test_a_whole_output_is_replaced_only_by_force(tmp_path):
    output = tmp_path / "out"
    build(output, b"old")
    fails(build, output, kind=UsageError, says="exists; pass force=True")
    with pytest.raises(UsageError, match="exists; pass force=True"):
        build(output, resume=True)
    assert (output / "data").read_bytes() == b"old"
    build(output, b"new", force=True)
    assert (output / "data").read_bytes() == b"new"
    assert names(tmp_path) == ["out"]


def test_an_error_while_replacing_keeps_the_old(tmp_path):
    output = tmp_path / "out"
    build(output, b"old")
    with pytest.raises(ValueError), building(output, PLAN, FILES, force=True):
        raise ValueError
    assert (output / "data").read_bytes() == b"old"
    assert names(tmp_path) == ["out"]


def make_foreign(path: Path, content: str = "foreign") -> None:
    (path / "within").mkdir(parents=True)
    (path / "manifest.json" if content.startswith("{") else path / "letter.txt").write_text(content)
    (path / "within" / "photo").write_bytes(b"dear")


@pytest.mark.parametrize("which", ["out", "out.part"])
@pytest.mark.parametrize("content", ["foreign", '{"name": "an extension of a browser"}'])
@pytest.mark.parametrize("how", [{"force": True}, {"resume": True}, {}])
def test_a_foreign_directory_is_never_deleted(tmp_path, which, content, how):
    make_foreign(tmp_path / which, content)
    with pytest.raises(UsageError, match=f"{which}: "):
        build(tmp_path / "out", **how)
    assert (tmp_path / which / "within" / "photo").read_bytes() == b"dear"
    assert names(tmp_path) == [which]


@pytest.mark.parametrize("own", ["notes.txt", "data.txt", "data"])
@pytest.mark.parametrize("which", ["out", "out.part"])
@pytest.mark.parametrize("how", [{"force": True}, {"resume": True}])
def test_what_someone_keeps_among_our_files_is_neither_lost_nor_taken_for_ours(tmp_path, own, which, how):
    leave_part(tmp_path / "out")
    if which == "out":
        build(tmp_path / "out", resume=True)
        how = {"force": True}
    place = tmp_path / which / own
    if own == "data":  # a name of ours, but it is a directory
        place.unlink()
        place.mkdir()
        place /= "notes.txt"
    place.write_text("dear")
    with pytest.raises(UsageError, match=f"{which}: holds {own}, which is not this command's; move it"):
        build(tmp_path / "out", **how)
    assert place.read_text() == "dear" and names(tmp_path) == [which]
    (tmp_path / which / own).rename(tmp_path / "kept")
    build(tmp_path / "out", **how)
    assert names(tmp_path) == ["kept", "out"] and names(tmp_path / "out") == ["data", "manifest.json"]


@pytest.mark.parametrize("error", [None, ValueError("wrong")])
def test_what_someone_puts_among_our_files_meanwhile_is_not_lost_either(tmp_path, error):
    with pytest.raises(ValueError if error else UsageError), building(tmp_path / "out", PLAN, FILES) as work:
        (work / "data").write_bytes(b"content")
        write_manifest(work, KIND, VERSION, {"size": 7})
        (work / "notes.txt").write_text("dear")
        if error:
            raise error
    assert (work / "notes.txt").read_text() == "dear" and names(tmp_path) == ["out.part"]
    (work / "notes.txt").unlink()
    build(tmp_path / "out", resume=True)
    assert names(tmp_path / "out") == ["data", "manifest.json"]


def test_what_is_left_of_a_deleted_file_on_nfs_is_no_obstacle(tmp_path):
    leave_part(tmp_path / "out")
    (tmp_path / "out.part" / ".nfs0000000001").touch()
    build(tmp_path / "out", resume=True)
    assert "data" in names(tmp_path / "out")


def test_a_foreign_file_is_never_replaced(tmp_path):
    for name in ("out", "out.part"):
        (tmp_path / name).write_text("dear")
        with pytest.raises(UsageError, match="not what this command makes"):
            build(tmp_path / "out", force=True)
        assert (tmp_path / name).read_text() == "dear"
        (tmp_path / name).unlink()


def test_what_stands_where_the_old_one_goes_is_never_deleted(tmp_path):
    build(tmp_path / "out", b"old")
    make_foreign(tmp_path / "out.old")
    with pytest.raises(UsageError, match=r"out\.old: is in the way"):
        build(tmp_path / "out", b"new", force=True)
    assert (tmp_path / "out.old" / "within" / "photo").exists()
    assert (tmp_path / "out" / "data").read_bytes() == b"old"


def test_a_damaged_output_of_ours_can_be_replaced(tmp_path):
    build(tmp_path / "out", b"old")
    manifest = tmp_path / "out" / "manifest.json"
    manifest.write_bytes(manifest.read_bytes()[:40])
    build(tmp_path / "out", b"new", force=True)
    assert (tmp_path / "out" / "data").read_bytes() == b"new"


@pytest.mark.parametrize("name", [".", "/", "a/.."])
def test_an_output_without_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    with pytest.raises(UsageError):
        build(Path(name), force=True)
    assert names(tmp_path) == ["a"]


def test_no_directory_to_write_in(tmp_path):
    with pytest.raises(UsageError, match="none: no such directory; make it"):
        build(tmp_path / "none" / "out")


HOLD = """
import sys
from pathlib import Path
from cooc_engine.storage.locks import locked
from cooc_engine.storage.outputs import building
with building(Path(sys.argv[1]), {"kind": "thing", "options": {"window": 5}, "texts": ["ä"]}, ["data"]) as work:
    print("ready", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_refused(tmp_path):
    output = tmp_path / "out"
    with subprocess.Popen([sys.executable, "-c", HOLD, output], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first:
        assert first.stdout.readline() == b"ready\n"
        for how in ({"resume": True}, {"force": True}):
            with pytest.raises(UsageError, match=r"out: another run is working on it"):
                build(output, **how)
        with pytest.raises(UsageError):
            build(output)
        assert (tmp_path / "out.part" / "plan.json").exists()
        first.kill()
        first.wait()
    assert names(tmp_path) == ["out.part"]
    build(output, resume=True)  # the lock of a killed process does not stay
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize(("lock", "says"), [("con.h5.part", "con.h5"), ("con.h5.lock", "con.h5"), ("out.part/lock", "out")])
def test_a_held_lock_names_its_output(tmp_path, monkeypatch, lock, says):
    monkeypatch.chdir(tmp_path)
    Path("out.part").mkdir()
    refused = pytest.raises(UsageError, match=f"^{says}: another run is working on it$")
    with locked(Path(lock)), refused, locked(Path(lock)):
        pass


# --------------------------------------------------------------------------------------------------------------- links


@pytest.fixture
def victim(tmp_path) -> Path:
    """What lies outside of the place where things are written, and must stay as it is."""
    path = tmp_path / "elsewhere" / "victim"
    path.parent.mkdir()
    path.write_text("dear")
    yield path
    assert contents(path.parent) == {"victim": b"dear"}


@pytest.mark.parametrize("name", ["out", "out.part", "out.old"])
@pytest.mark.parametrize("to", ["", "victim", "nothing"])
@pytest.mark.parametrize("how", [{}, {"force": True}, {"resume": True}])
def test_no_directory_is_built_through_a_link(tmp_path, victim, name, to, how):
    place = tmp_path / "place"
    place.mkdir()
    (place / name).symlink_to(victim.parent / to)
    with pytest.raises(UsageError, match=f"{name}: is a link, and nothing is written through it; remove it"):
        build(place / "out", **how)
    assert names(place) == [name]


@pytest.mark.parametrize("name", ["data", "lock", "plan.json", "manifest.json.part"])
@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_no_link_within_a_directory_is_resumed(tmp_path, victim, name, link):
    leave_part(tmp_path / "out")
    (tmp_path / "out.part" / name).unlink(missing_ok=True)
    link(tmp_path / "out.part" / name, victim)
    (tmp_path / "out.part" / "lock").touch()
    with pytest.raises(UsageError, match=rf"out\.part/{name}: is (a link|one of several names of a file), and nothing"):
        build(tmp_path / "out", resume=True)


def test_a_link_within_an_output_that_is_replaced_goes_alone(tmp_path, victim):
    build(tmp_path / "out", b"old")
    (tmp_path / "out" / "data").unlink()
    (tmp_path / "out" / "data").symlink_to(victim.parent)
    build(tmp_path / "out", b"new", force=True)
    assert contents(tmp_path / "out")["data"] == b"new"


@pytest.mark.parametrize("name", ["a", "b", "a.part", "b.part"])
@pytest.mark.parametrize("to", ["victim", "nothing"])
def test_no_file_is_written_through_a_link(tmp_path, victim, name, to):
    place = tmp_path / "place"
    place.mkdir()
    (place / name).symlink_to(victim.parent / to)
    refused = pytest.raises(UsageError, match=f"/{name}: is a link, and nothing is written through it")
    with refused, outputs.writing_files([place / "a", place / "b"], force=True):
        pass
    assert names(place) == [name]


def test_what_has_a_second_name_is_replaced_and_not_changed(tmp_path, victim):
    (tmp_path / "a").hardlink_to(victim)
    with outputs.writing_files([tmp_path / "a"], force=True) as [part]:
        part.write_bytes(b"new")
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.parametrize("name", ["eval.json", "eval.json.part"])
def test_a_pipe_is_no_place_for_a_file(tmp_path, name):
    """Opening it would wait for a reader."""
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=rf"{name}: is a device or a pipe"):
        outputs.refuse_file(tmp_path / "eval.json", force=True)


def test_no_small_file_and_no_lock_goes_through_a_link(tmp_path, victim):
    (tmp_path / "eval.json.part").symlink_to(victim)
    (tmp_path / "m.h5.lock").symlink_to(victim.parent / "nothing")
    with pytest.raises(UsageError, match=r"eval\.json\.part: is a link"):
        outputs.write_whole(tmp_path / "eval.json", b"new")
    with pytest.raises(UsageError, match=r"m\.h5\.lock: is a link"), locked(tmp_path / "m.h5.lock"):
        pass


def test_write_whole_leaves_nothing_beside(tmp_path, monkeypatch):
    path = tmp_path / "eval.json"
    outputs.write_whole(path, b"old")

    def full(self, data):
        with self.open("wb") as file:
            file.write(data[:1])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        outputs.write_whole(path, b"new")
    assert names(tmp_path) == ["eval.json"]
    assert path.read_bytes() == b"old"


def test_a_plan_that_json_changes_compares_equal(tmp_path):
    plan = {"blocks": (1, 2)}  # a list, when read back
    with pytest.raises(InterruptedRun), building(tmp_path / "out", plan, FILES):
        raise KeyboardInterrupt
    with building(tmp_path / "out", plan, FILES, resume=True) as work:
        assert json.loads((work / "plan.json").read_text()) == {"blocks": [1, 2]}
        write_manifest(work, KIND, VERSION, {})


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError(errno.ENOSPC, "x"), "No space left on device; free some and run again$"),
        (MemoryError(), "out of memory; free some and run again$"),
        (KeyboardInterrupt(), "interrupted; run again$"),
    ],
)
def test_what_cannot_be_resumed_does_not_advise_it(tmp_path, error, says):
    with pytest.raises((ResourceError, InterruptedRun), match=says), outputs.writing_files([tmp_path / "a"], force=False):
        raise error
    assert names(tmp_path) == []
