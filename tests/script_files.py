"""Scripts have no ending in .py: a test imports one as a module by its name."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def script(name: str) -> ModuleType:
    """scripts/NAME as a module."""
    loader = importlib.machinery.SourceFileLoader(name, str(Path(__file__).parents[1] / "scripts" / name))
    spec = importlib.util.spec_from_loader(name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    loader.exec_module(module)
    return module
