"""What is imported when, and in which direction."""

import ast
import functools
import graphlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = ("torch", "torch_geometric", "pandas", "duckdb", "ibis", "neo4j", "matplotlib", "sklearn")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["incidents"],
        ["incidents", "--help"],
        ["evaluate", "--help"],
        ["graph", "server", "--help"],
        ["ask", "list"],
    ],
)
def test_quick_commands_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    """By the list of modules, not by the clock."""
    (tmp_path / "findings").mkdir()
    (tmp_path / "findings" / "day=2026-01-16.json").write_text('{"schema_version": 2, "incidents": []}')
    code = (
        "import sys\nfrom ueba.cli import main\n"
        f"try: main(['--workspace', {str(tmp_path)!r}, *{arguments!r}])\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


# --- in which direction -------------------------------------------------------------------------------------

ROOMS = (  # a module or package a line; each imports only from lines above it, and within its own
    "ueba.errors",
    "ueba.text",
    "ueba.spelling",
    "ueba.tables",
    "ueba.progress",
    "ueba.arrays",
    "ueba.files",
    "ueba.state",
    "ueba.config",
    "ueba.workspace",
    "graphdb",
    "models",
    "ueba.ontology",
    "ueba.contracts",
    "ueba.words",
    "ueba.findings",
    "ueba.scores",
    "ueba.suspects",
    "ueba.ingest",
    "ueba.triage",
    "ueba.campaigns",
    "ueba.simulate",
    "ueba.detect.past",
    "ueba.detect.look",
    "ueba.detect.incidents",
    "ueba.detect.cases",
    "ueba.detect.periods",
    "ueba.detect.score",
    "ueba.detect.reasons",
    "ueba.detect.day",
    "ueba.evaluate",
    "ueba.memory",
    "ueba.backtest",
    "ueba.investigate.cases",
    "ueba.investigate.periods",
    "ueba.investigate.names",
    "ueba.investigate.indicators",
    "ueba.investigate.questions",
    "ueba.investigate.perimeter",
    "ueba.investigate.draw",
    "ueba.investigate.entity",
    "ueba.investigate.explain",
    "ueba.investigate.day",
    "ueba.investigate.newcomers",
    "ueba.investigate.risk",
    "ueba.investigate.report",
    "ueba.investigate.export",
    "ueba.graph",
    "ueba.stages",
    "ueba.nightly",
    "ueba.health",
    "ueba.cli",
)
HALLS = ("ueba", "ueba.detect", "ueba.investigate")  # packages whose own file imports nothing
ABROAD = {"graphdb": {"torch"}}  # libraries that would tell the package what it must not know


def modules() -> dict[str, Path]:
    """Every module of the three packages with its file."""
    paths = [path for package in ("ueba", "models", "graphdb") for path in (ROOT / package).rglob("*.py")]
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in paths
    }


MODULES = modules()


def room_of(module: str) -> str | None:
    """The longest name in ROOMS that the module is, or is in."""
    return max((room for room in ROOMS if f"{module}.".startswith(f"{room}.")), key=len, default=None)


@functools.cache
def imported(module: str) -> set[str]:
    """What a module imports, also inside functions: ours by module, others by package."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module and not node.level, f"{module}: relative import"
            parts = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {part if part in MODULES else node.module for part in parts}
    return {name if name in MODULES else name.split(".")[0] for name in names} - {module}


def test_every_module_is_in_a_room_and_every_room_has_one() -> None:
    homeless = [module for module in MODULES if module not in HALLS and room_of(module) is None]
    assert not homeless, "write them into ROOMS, above all that imports them"
    assert {room_of(module) for module in MODULES} - {None} == set(ROOMS)
    assert not [hall for hall in HALLS if imported(hall)]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_down_only(module: str) -> None:
    room = room_of(module)
    depth = ROOMS.index(room) if room else 0
    rooms = {name: room_of(name) for name in imported(module) if name in MODULES and name not in HALLS}
    assert not {name: above for name, above in rooms.items() if above is None or ROOMS.index(above) > depth}


@pytest.mark.parametrize("package", ["models", "graphdb"])
def test_the_libraries_know_nothing_of_the_others(package: str) -> None:
    inside = [module for module in MODULES if room_of(module) == package]
    assert inside
    for module in inside:
        own_modules = {
            name for name in imported(module) if name.split(".")[0] in ("ueba", "models", "graphdb")
        }
        assert {name.split(".")[0] for name in own_modules} <= {package}, module
        assert not imported(module) & ABROAD.get(package, set()), module


def test_contracts_rest_on_nothing_but_errors() -> None:
    inside = [module for module in MODULES if room_of(module) == "ueba.contracts"]
    assert inside
    for module in inside:
        rooms = {room_of(name) for name in imported(module) if name in MODULES}
        assert rooms <= {"ueba.contracts", "ueba.errors"}, module


def test_no_two_modules_import_each_other_by_any_way_round() -> None:
    order = graphlib.TopologicalSorter({module: imported(module) & MODULES.keys() for module in MODULES})
    order.prepare()  # raises CycleError that names the cycle
