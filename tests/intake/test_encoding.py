"""Files in the encodings of the world: read as what they are, said in the report, never stored as nonsense."""

from __future__ import annotations

from pathlib import Path

import pytest

from shelfwise.errors import UnreadableFile
from shelfwise.intake import load_products
from shelfwise.intake.encoding import encoding_of, read_as
from shelfwise.store import Store

TEXTS = {
    "gb18030": "手冲咖啡壶 600毫升,晨溪,龙井茶🍵 礼盒,䶮泉,缺货",
    "gbk": "儿童雨靴,小鹿,全棉毛巾（三条装）,现货",
    "big5": "手沖咖啡壺,有貨,竹製茶盤,缺貨",
    "shift_jis": "コーヒーポット 600ml,在庫あり,竹の茶盆,在庫なし",
    "euc_jp": "コーヒーポット 600ml,在庫あり,竹の茶盆,在庫なし",
    "euc_kr": "커피 주전자,재고있음,대나무 쟁반,품절",
    "cp1252": "Spülbürste groß,Löffel,12 €,Théière à café,pequeño",
    "cp1251": "Чайник медный,Ложка деревянная",
    "cp1250": "Łyżka drewniana,Kubek żółty,średni",
    "utf-16": "Löffel,茶",
    "utf-16-be": "Löffel and spoons,茶",
    "utf-8-sig": "Löffel,茶",
}


@pytest.mark.parametrize("codec", TEXTS)
@pytest.mark.parametrize("kind", ["csv", "jsonl", "xml"])
def test_an_encoding_is_told(codec: str, kind: str, tmp_path: Path, store: Store) -> None:
    titles = TEXTS[codec].split(",")
    if kind == "csv":
        text = "id,title\n" + "".join(f"{number},{title}\n" for number, title in enumerate(titles))
    elif kind == "jsonl":
        text = "".join(f'{{"id": "{number}", "title": "{title}"}}\n' for number, title in enumerate(titles))
    else:
        text = "".join(f"<item><id>{number}</id><title>{title}</title></item>" for number, title in enumerate(titles))
        declared = codec.removesuffix("-sig").removesuffix("-be")
        text = f'<?xml version="1.0" encoding="{declared}"?>\n<rss>{text}</rss>'
    path = tmp_path / "feed"
    path.write_bytes(text.encode(codec))
    load_products(path, store)
    import unicodedata

    expected = [unicodedata.normalize("NFKC", title) for title in titles]
    assert store.products_frame()["title"].to_list() == expected


def test_the_report_says_what_was_found_by_trial(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes("id;title\n1;Löffel\n".encode("cp1252"))
    facts = load_products(path, store).facts
    assert facts["encoding"].startswith("Windows-1252 (by trial")
    assert facts["between fields"] == "semicolon"


def test_two_signs_are_too_few_to_tell(tmp_path: Path, store: Store) -> None:
    """红茶 in GBK is as good a Korean word: refused with both readings, and read once named."""
    path = tmp_path / "feed.csv"
    path.write_bytes("id,title\n1,红茶\n".encode("gbk"))
    with pytest.raises(UnreadableFile, match=r"GB18030 \(红茶\).*--encoding"):
        load_products(path, store)
    assert store.counts().products == 0
    with read_as("gbk"):
        load_products(path, store)
    assert store.products_frame()["title"].to_list() == ["红茶"]
    with pytest.raises(UnreadableFile, match="no encoding"), read_as("klingon"):
        pass


def test_a_damaged_utf8_is_no_other_encoding(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_bytes("id,title\n1,Löffel\n2,grün\n3,Tür\n".encode() + b"4,K\xfche\n")
    with pytest.raises(UnreadableFile, match="most of it is") as caught:
        encoding_of(path)
    assert caught.value.line == 5


def test_an_xml_that_declares_what_it_is_not(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "feed.xml"
    item = "<rss><item><id>1</id><title>Löffel 茶</title></item></rss>"
    path.write_bytes(f'<?xml version="1.0" encoding="GBK"?>{item}'.encode())
    load_products(path, store)
    assert store.products_frame()["title"].to_list() == ["Löffel 茶"]
    path.write_bytes(f'<?xml version="1.0" encoding="x-nothing"?>{item}'.encode())
    with pytest.raises(UnreadableFile, match="x-nothing"):
        load_products(path, store)
