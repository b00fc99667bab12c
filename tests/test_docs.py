"""Docs are tested: every setting, command, route and metric appears; every setting is read, every error raised."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
import typer

from shelfwise import errors
from shelfwise.cli.app import app
from shelfwise.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {path: path.read_text("utf-8") for path in sorted((ROOT / "shelfwise").rglob("*.py"))}
SETTINGS = (ROOT / "docs" / "settings.md").read_text("utf-8")
API = (ROOT / "docs" / "api.md").read_text("utf-8")


def commands() -> list[str]:
    """Full names of the command line's commands: "load products", "train", …"""

    def walk(group: object, prefix: str) -> list[str]:
        found = []
        for name, command in getattr(group, "commands", {}).items():
            inner = walk(command, f"{prefix}{name} ")
            found += inner or [f"{prefix}{name}"]
        return found

    return walk(typer.main.get_command(app), "")


def routes() -> set[str]:
    """Paths given to the application's decorators and route tables."""
    serve = "\n".join(text for path, text in SOURCES.items() if path.parent.name == "serve")
    return set(re.findall(r"[\"'](/(?:v1/[\w/{}.:-]*|metrics))[\"']", serve))


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_setting_is_documented(name: str) -> None:
    assert f"`{name}`" in SETTINGS


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_setting_is_read_somewhere(name: str) -> None:
    reading = re.compile(rf"\bsettings\.{name}\b|\[[\"']{name}[\"']\]")
    assert any(reading.search(text) for path, text in SOURCES.items() if path.name != "settings.py")


@pytest.mark.parametrize("command", commands())
def test_command_is_documented(command: str) -> None:
    assert f"shelfwise {command}" in API or f"`{command}" in API  # later ones of a line leave the first word out


def test_there_are_commands_and_routes() -> None:
    assert len(commands()) >= 12
    assert len(routes()) >= 6


@pytest.mark.parametrize("route", sorted(routes()))
def test_route_is_documented(route: str) -> None:
    assert re.sub(r":\w+}", "}", route) in API


def test_every_metric_is_documented() -> None:
    text = SOURCES[ROOT / "shelfwise" / "serve" / "metrics.py"]
    names = {
        str(node.args[0].value)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("Counter", "Gauge", "Histogram")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    assert names
    assert not [name for name in names if name not in API]


@pytest.mark.parametrize(
    "name",
    sorted(
        name
        for name, one in vars(errors).items()
        if isinstance(one, type) and issubclass(one, errors.ShelfwiseError) and one is not errors.ShelfwiseError
    ),
)
def test_error_is_raised_somewhere_and_drawn_in_the_tree(name: str) -> None:
    raised = re.compile(rf"\b{name}\(")
    assert any(raised.search(text) for path, text in SOURCES.items() if path.name != "errors.py")
    assert f"── {name} " in str(errors.__doc__)
