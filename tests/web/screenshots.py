"""Pictures of every page, in both languages, on a desktop and on a phone: `make screenshots`.

    python tests/web/screenshots.py SHOP OUT [NAME …]

SHOP is a shop's folder, which is copied; without one there, Vendure's demo shop is made in it first (npm's registry, a
minute or two). OUT receives NAME-LANGUAGE-SIZE.jpg.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from browsing import serving
from playwright.sync_api import Page, sync_playwright
from rich.console import Console

from shelfwise.cli.terminal import progress_bar
from shelfwise.demo import prepare
from shelfwise.settings import FILE
from shelfwise.shop import Shop

WINDOW = {
    "home": "/",
    "search": "/search?q=camra",
    "product": "/product/{product}",
    "cart": "/cart",
    "photo": "/photo",
    "new": "/new",
}
CONSOLE = {
    "overview": "/console",
    "training": "/console/training",
    "reports": "/console/reports",
    "data": "/console/data",
    "products": "/console/products",
    "known": "/console/products/{product}",
    "desk": "/console/search?q=camra",
    "rules": "/console/rules",
    "synonyms": "/console/synonyms",
    "queries": "/console/queries",
    "customer": "/console/customers?id={customer}",
    "compare": "/console/training/compare",
    "password": "/console/password",
    "login": "/console/login",
}
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
LANGUAGES = {"en": "en-US", "zh": "zh-CN"}


def main(shop: Path, out: Path, names: list[str]) -> None:
    if not (shop / FILE).exists():
        prepare(shop, progress_bar, Console(), "vendure")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "shop"
        shutil.copytree(shop, copy)
        with Shop(copy) as opened:
            customer = str(next(opened.store.event_frames())["customer"][-1])
            known = {"customer": customer, "product": opened.recommend(customer=customer, k=1).items[0].product}
        with serving(copy) as server, sync_playwright() as driver:
            entry = server.link
            browser = driver.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
            for size, (width, height) in SIZES.items():
                for lang, locale in LANGUAGES.items():
                    context = browser.new_context(
                        base_url=server.url, locale=locale, viewport={"width": width, "height": height}
                    )
                    page = context.new_page()
                    _enter(page, entry)
                    entry = "/console/login"
                    for name, path in {**WINDOW, **CONSOLE}.items():
                        if names and name not in names:
                            continue
                        page.goto(path.format(**known))
                        page.wait_for_load_state("networkidle")
                        page.screenshot(
                            path=out / f"{name}-{lang}-{size}.jpg", full_page=size == "phone", type="jpeg", quality=82
                        )
                    context.close()
            browser.close()


def _enter(page: Page, entry: str) -> None:
    """Look at the shop as its first persona, at the console as its one account."""
    page.goto("/")
    page.locator("button[name=consent]").first.click()
    persona = page.locator("button[name=persona]:not([value=''])").first
    if persona.count():
        persona.click()
    page.goto(entry)
    page.fill("#name", "ada")
    page.fill("#password", "a long enough password")
    page.locator("main button, .card button").first.click()
    page.wait_for_url("**/console**")


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        sys.exit("no Chromium on this machine (Debian: sudo apt-get install chromium)")
    return found


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
