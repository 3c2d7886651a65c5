"""The shape of the package: what may import what, who prints, how large things may be, what is public."""

from __future__ import annotations

import ast
import importlib
import inspect
import subprocess
import sys
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import cooc_engine
from cooc_engine import import_vectors
from cooc_engine.cli.app import VERBS

PACKAGE = Path(cooc_engine.__file__).parent

# The data's way: a module imports from its own room and from those that stand before it.
ROOMS = [
    "errors", "_version", "_kernels", "runtime", "storage", "text", "corpus", "linalg", "counts", "models", "matrix", "sampled",
    "contextual", "formats", "vectors", "evaluation", "reports", "pipeline", "cli", "__main__",
]  # fmt: skip
KERNELS_MAY = {"numba", "llvmlite", "numpy", "cooc_engine"}
MOST_LINES = 500
MOST_PARAMETERS = 8


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


MODULES = {name_of(path): ast.parse(path.read_bytes()) for path in PACKAGE.rglob("*.py")}


def imports(tree: ast.Module) -> Iterator[str]:
    """Every module that is imported anywhere in the file, as a full name; `from package import module` too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names if not alias.name[0].isupper())


def ours(tree: ast.Module) -> set[str]:
    """Modules of the package that a file imports."""
    full = {name.removeprefix("cooc_engine.") for name in imports(tree) if name.startswith("cooc_engine.")}
    return {name for name in full if name in MODULES}


def room_of(name: str) -> str:
    return name.partition(".")[0]


# Modules that make paths of names which do not come from outside, or which the system gave them.
MAKES_PATHS = {
    "runtime.paths", "runtime.cluster", "runtime.truncation", "runtime.machine", "evaluation.sets", "_kernels.jit",
    "pipeline.demo", "storage.temporary", "reports.layers",
}  # fmt: skip


def makes_path(node: ast.AST) -> bool:
    """Tell whether this is `Path(x)`, where x is not written out."""
    named = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Path" and node.args
    return (
        bool(named) and not isinstance(node.args[0], ast.Constant | ast.JoinedStr) and ast.unparse(node.args[0]) != "__file__"
    )


def test_paths_from_outside_come_through_the_gate():
    """`path_of` refuses what is none."""
    assert {name for name, tree in MODULES.items() if any(map(makes_path, ast.walk(tree)))} == MAKES_PATHS


def test_every_room_has_its_place():
    assert {room_of(name) for name in MODULES} - {"__init__"} == set(ROOMS)


@pytest.mark.parametrize("name", [name for name in MODULES if name != "__init__"])
def test_imports_come_from_this_room_or_from_rooms_before_it(name):
    place = ROOMS.index(room_of(name))
    assert {room_of(used) for used in ours(MODULES[name])} <= set(ROOMS[: place + 1])


@pytest.mark.parametrize("room", [room for room in ROOMS if f"{room}.__init__" in MODULES])
def test_a_room_says_what_flows_in_and_out_and_holds_nothing_else(room):
    tree = MODULES[f"{room}.__init__"]
    said = " ".join((ast.get_docstring(tree) or "").split())
    assert len(tree.body) == 1
    assert all(part in said for part in ("Flows in:", "Flows out:", "May import")), said


def test_compiled_kernels_are_loaded_without_what_only_compiling_needs():
    """That takes longer to load than the kernels; other code that Numba compiles in the same process still has it."""
    load = "import cooc_engine._kernels.columns\n"
    run(load)  # compiles it if no test has needed it before
    asked = "import sys\nprint([name in sys.modules for name in ('scipy.linalg', 'numba.np.arraymath')])\n"
    more = "import numba, numpy as np\nprint(numba.njit(lambda a, b: np.dot(a, b))(np.ones(2), np.ones(2)))"
    assert run(load + asked + more).splitlines() == ["[False, False]", "2.0"]


@pytest.mark.parametrize("name", cooc_engine.__all__)
def test_no_room_is_called_as_a_public_name_is(name):
    assert name not in ROOMS


def test_no_imports_run_in_a_circle():
    arrows = {name: ours(tree) - {name, "__init__"} for name, tree in MODULES.items() if name != "__init__"}
    while ready := {name for name, used in arrows.items() if not used & set(arrows)}:
        arrows = {name: used for name, used in arrows.items() if name not in ready}
    assert not arrows


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("_kernels")])
def test_kernels_import_numba_and_numpy_alone(name):
    for imported in imports(MODULES[name]):
        top = imported.partition(".")[0]
        assert top in KERNELS_MAY or top in sys.stdlib_module_names
        if top == "cooc_engine":
            assert imported.startswith("cooc_engine._kernels")


def exported(tree: ast.Module) -> set[str] | None:
    """The names in `__all__`; None if the module has none."""
    lists = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    return set(ast.literal_eval(lists[0])) if lists else None


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("_kernels")])
def test_what_a_module_takes_from_another_is_public_there(name):
    for node in ast.walk(MODULES[name]):
        source = (node.module or "").removeprefix("cooc_engine.") if isinstance(node, ast.ImportFrom) else ""
        if source in MODULES and not source.startswith("_kernels") and (public := exported(MODULES[source])) is not None:
            assert {alias.name for alias in node.names if f"{source}.{alias.name}" not in MODULES} <= public, source


def test_the_walk_sees_imports():
    """The tests above are worth nothing if it does not."""
    assert ours(MODULES["storage.hdf5"]) >= {"errors", "storage.outputs"}
    assert ours(MODULES["__main__"]) == {
        "cli.app",
        "runtime.streams",
        "runtime.truncation",
    }  # the first is imported within a function


def test_only_the_storage_knows_h5py():
    users = {name for name in MODULES if any(n.partition(".")[0] == "h5py" for n in imports(MODULES[name]))}
    assert users == {"storage.hdf5", "storage.plain_hdf5"}  # our own files, and those of other programs


def prints(tree: ast.Module) -> list[ast.Call]:
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"]


def test_only_the_console_prints():
    printing = {name: prints(tree) for name, tree in MODULES.items() if prints(tree)}
    assert set(printing) == {"cli.console", "runtime.progress"}
    assert all(any(word.arg == "file" for word in call.keywords) for call in printing["runtime.progress"])


@pytest.mark.parametrize("name", MODULES)
def test_no_module_is_too_long(name):
    lines = len((PACKAGE / (name.replace(".", "/") + ".py")).read_text("utf-8").splitlines())
    assert lines <= MOST_LINES


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    """Public functions of a module, and public methods of its public classes; kernels are not public."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from (n for n in node.body if isinstance(n, ast.FunctionDef) and (n.name == "__init__" or n.name[0] != "_"))


@pytest.mark.parametrize("name", [name for name in MODULES if not name.startswith("_kernels")])
def test_no_public_function_has_too_many_parameters(name):
    for function in functions(MODULES[name]):
        given = function.args
        names = [a.arg for a in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        assert len([n for n in names if n not in ("self", "cls")]) <= MOST_PARAMETERS, function.name


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_pickled_or_executed(name):
    tree = MODULES[name]
    assert not {n.partition(".")[0] for n in imports(tree)} & {"pickle", "shelve", "marshal", "dill"}
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    assert not called & {"exec", "eval"}


OWN_PROCESSES = {"text.tokenizer_worker", "text.tokenizer_pool"}  # read what this program has just written to a pipe
BELOW = {"runtime.cluster"}  # is in a room before that of the gate, and takes one string from the file of a scheduler


def of_json(tree: ast.Module) -> list[str]:
    """The functions of `json` that a module parses with."""
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [f.attr for f in calls if isinstance(f.value, ast.Name) and f.value.id == "json" and f.attr in ("load", "loads")]


def test_json_from_outside_comes_through_one_gate():
    """What is parsed elsewhere would be used unchecked."""
    assert {name for name, tree in MODULES.items() if of_json(tree)} - OWN_PROCESSES - BELOW == {"storage.schema"}
    parsing = {name for name, tree in MODULES.items() if any(n.endswith("schema.parse_json") for n in imports(tree))}
    assert parsing == {"storage.elements", "storage.outputs"}  # which pass it on to `fitted`, or to those who do


def unchecked(tree: ast.Module) -> list[str]:
    """Subscripts of what a checked type does not describe: `json.loads(...)["x"]`, `parse_json(...)["x"]`."""
    parsers = ("parse_json", "loads", "load")
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Call)]
    named = [getattr(call.func, "id", getattr(call.func, "attr", "")) for call in found]
    return [name for name in named if name in parsers]


@pytest.mark.parametrize("name", [name for name in MODULES if name not in OWN_PROCESSES])
def test_nothing_is_taken_from_json_that_is_not_checked(name):
    assert not unchecked(MODULES[name])


@pytest.mark.parametrize("name", ["corpus.directory.CorpusManifest", "counts.directory.CoocManifest"])
def test_manifests_have_types_that_the_type_checker_knows(name):
    """A key that is not described is an error of mypy, wherever `manifest` is subscripted."""
    module, _, cls = name.rpartition(".")
    found = getattr(importlib.import_module(f"cooc_engine.{module}"), cls)
    assert typing.is_typeddict(found)
    assert "files" in found.__optional_keys__


@pytest.mark.parametrize("name", cooc_engine.__all__)
def test_what_is_public_is_there_and_says_what_it_is(name):
    item = getattr(cooc_engine, name)
    assert name in dir(cooc_engine)
    assert inspect.getdoc(item)
    assert not inspect.ismodule(item)
    if inspect.isfunction(item):
        assert all(p.annotation is not p.empty for p in inspect.signature(item).parameters.values())


def test_names_that_are_offered_are_the_public_ones():
    assert dir(cooc_engine) == sorted(["__version__", *cooc_engine.__all__])


def test_what_is_not_there():
    with pytest.raises(AttributeError, match="has no attribute 'glove_vectors'"):
        _ = cooc_engine.glove_vectors
    with pytest.raises(AttributeError, match="has no attribute 'KeyedVectors'; Vectors has its methods"):
        _ = cooc_engine.KeyedVectors


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


HEAVY = "numba llvmlite scipy h5py matplotlib jinja2 sklearn cooc_engine._kernels"


def test_importing_costs_nothing():
    loaded = run("import sys, cooc_engine; print(*sys.modules)").split()
    assert not {*HEAVY.split(), "numpy", "cyclopts", "multiprocessing", "concurrent.futures", "distributed"} & set(loaded)


def test_options_do_not_load_the_parser():
    loaded = run("import sys\nfrom cooc_engine import GloveOptions\nGloveOptions()\nprint(*sys.modules)").split()
    assert "cooc_engine.models.matrix_options" in loaded
    assert not {"cyclopts", "rich"} & set(loaded)


def test_only_the_command_line_knows_the_parser():
    users = {room_of(name) for name, tree in MODULES.items() if any(n.partition(".")[0] == "cyclopts" for n in imports(tree))}
    assert users == {"cli"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"], ["encode", "--help"]])
def test_help_loads_nothing_heavy(arguments):
    code = f"import sys\nfrom cooc_engine.cli.app import main\nassert main({arguments}) == 0\nprint(*sys.modules)"
    *text, loaded = run(code).strip().splitlines()
    assert text
    assert not set(HEAVY.split()) & set(loaded.split())


def test_a_command_loads_its_own_verb_alone():
    code = "import sys\nfrom cooc_engine.cli.app import main\nassert main(['plot', '--help']) == 0\nprint(*sys.modules)"
    loaded = set(run(code).splitlines()[-1].split())
    verbs = {f"cooc_engine.cli.{module}" for modules in VERBS.values() for module in modules} - {"cooc_engine.cli.app"}
    assert loaded & verbs == {"cooc_engine.cli.pictures"} and "cooc_engine.models.families" not in loaded


def test_vectors_are_quantised_without_kernels_that_train(tmp_path):
    """They take a minute to compile."""
    (tmp_path / "vectors.txt").write_text("a 1 2\nb 3 4\nc 4 3\n")
    model = str(import_vectors(tmp_path / "vectors.txt", tmp_path / "model.h5").path)
    command = ["quantize", model, "--dsub", "1", "--output", str(tmp_path / "small.h5")]
    loaded = run(f"import sys\nfrom cooc_engine.cli.app import main\nassert main({command}) == 0\nprint(*sys.modules)")
    assert "cooc_engine._kernels.quantising" in loaded.split() and "cooc_engine._kernels.sgd" not in loaded.split()


def test_questions_that_need_no_kernel_load_none(tmp_path):
    """Numba takes longer to load than all else that they do."""
    (tmp_path / "vectors.txt").write_text("a 1 2\nb 3 4\n")
    model = str(import_vectors(tmp_path / "vectors.txt", tmp_path / "model.h5").path)
    commands = [["nn", model, "a"], ["similarity", model, "a", "b"], ["vector", model, "a"], ["info", model]]
    code = f"import sys\nfrom cooc_engine.cli.app import main\nassert not any(map(main, {commands}))\nprint(*sys.modules)"
    loaded = set(run(code).splitlines()[-1].split())
    assert "cooc_engine._kernels.later" in loaded
    assert not {"numba", "llvmlite", "scipy"} & loaded


@pytest.mark.parametrize("name", cooc_engine.__all__)
def test_public_names_do_not_depend_on_what_was_imported_before(name):
    """A module of the same name as a function would take its place in the package."""
    assert name not in MODULES


def test_every_module_says_what_it_is():
    for name, tree in MODULES.items():
        assert ast.get_docstring(tree), name
