"""A merchant's way through a campaign in a real browser, in both languages: from draft to effect."""

from __future__ import annotations

import csv
from datetime import timedelta
from pathlib import Path

import pytest
from browsing import PASSWORD, Server, Visit, accessible
from playwright.sync_api import expect

from shelfwise.schema import now
from shelfwise.serve.web.console.guard import COOKIE
from shelfwise.shop import Shop
from shelfwise.trust.accounts import Accounts

WORDS = {
    "en": ("Save the draft", "See the audience", "Export the list", "Download the list (CSV)", "Load who came"),
    "zh": ("保存草稿", "查看受众", "导出名单", "下载名单 (CSV)", "导入参加者"),
}


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_from_draft_to_effect(visit: Visit, server: Server, tmp_path: Path, lang: str) -> None:
    save, see, export, download, load = WORDS[lang]
    with Shop(server.folder) as shop:
        accounts = Accounts(shop.store.accounts)
        accounts.create(f"ida-{lang}", PASSWORD)
        secret = accounts.sign_in(f"ida-{lang}", PASSWORD, "here")
    with visit() as (page, watch):
        page.context.add_cookies([{"name": COOKIE, "value": secret, "url": server.url}])
        page.goto(f"/console/campaigns?lang={lang}")
        name = f"mugs-{lang}"
        page.locator("#f-id").fill(name)
        page.locator("#f-start").fill(f"{now():%Y-%m-%d}")
        page.locator("#f-end").fill(f"{now() + timedelta(days=30):%Y-%m-%d}")
        watch.allowed |= {422}
        page.get_by_role("button", name=save).click()
        expect(page.get_by_role("alert")).to_contain_text("offers")
        watch.allowed.clear()
        page.locator("#f-categories").fill("Kitchen")
        page.locator("#f-holdout").fill("30")
        page.get_by_role("button", name=save).click()
        page.wait_for_url(f"**/console/campaigns/{name}")
        page.get_by_role("button", name=see).click()
        expect(page.locator("figure svg").first).to_be_visible()
        expect(page.locator("dl.stats .stat")).to_have_count(4)
        accessible(page)
        page.get_by_role("button", name=export).click()
        expect(page.get_by_role("status")).to_be_visible()
        with page.expect_download() as got:
            page.get_by_role("link", name=download).click()
        rows = list(csv.DictReader(Path(got.value.path()).read_text("utf-8").splitlines()))
        assert rows
        assert set(rows[0]) == {"customer", "offer", "products", "reason"}
        file = tmp_path / "came.csv"
        file.write_text(f"campaign,customer,time\n{name},{rows[0]['customer']},{now().isoformat()}\n")
        page.locator("#file").set_input_files(file)
        page.get_by_role("button", name=load).click()
        expect(page.get_by_role("status")).to_be_visible()
        took = "1 took part" if lang == "en" else "1 人参加"
        expect(page.locator("section", has=page.locator("#effect"))).to_contain_text(took)
        accessible(page)
