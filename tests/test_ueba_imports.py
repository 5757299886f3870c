"""What is imported when, and in which direction."""

import ast
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
    (tmp_path / "findings" / "day=2026-01-16.json").write_text("[]")
    code = (
        "import sys\nfrom ueba.cli import main\n"
        f"try: main(['--workspace', {str(tmp_path)!r}, *{arguments!r}])\n"
        f"finally: print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip().splitlines()[-1] == "[]"


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize(
    ("package", "others"), [("models", ("ueba", "graphdb")), ("graphdb", ("ueba", "models", "torch"))]
)
def test_the_libraries_know_nothing_of_the_others(package: str, others: tuple[str, ...]) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not [name for name in imported(path) if name.split(".")[0] in others], path


LAYERS = (
    "ueba.errors",
    "ueba.config",
    "ueba.ontology",
    "ueba.ingest",
    "ueba.detect",
    "ueba.campaigns",
    "ueba.simulate",
    "ueba.investigate",
    "ueba.evaluate",
    "ueba.cli",
)


def test_imports_point_down_only() -> None:
    for depth, layer in enumerate(LAYERS):
        place = ROOT / layer.replace(".", "/")
        for path in place.rglob("*.py") if place.is_dir() else [place.with_suffix(".py")]:
            above = [name for name in imported(path) if name.startswith(LAYERS[depth + 1 :])]
            assert not above, (path, above)
