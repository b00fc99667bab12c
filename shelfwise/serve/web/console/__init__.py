"""The console: what merchants and engineers see of their shop, behind a login."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import FastAPI

from shelfwise.serve.web.console import campaigns, guard, overview, pages, password, reports, stock, training

if TYPE_CHECKING:
    from shelfwise.serve.service import Service


def mount(app: FastAPI, service: Service) -> None:
    """Add the console's pages to the app."""
    guard.mount(app, service)
    password.mount(app)
    overview.mount(app, service)
    pages.mount(app, service)
    training.mount(app, service)
    campaigns.mount(app, service)
    stock.mount(app, service)
    reports.mount(app, service)
