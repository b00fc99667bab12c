# ruff: noqa: E501 (the table of names is wide)
"""A product's fields in feeds: what their columns are commonly called, the likeliest first."""

from __future__ import annotations

from shelfwise.intake.states import AMBIGUOUS, FILLED, INVERSE

_NAMES = {
    "id": """id product_id item_id offer_id sku sku_id variant_id article_id stock_code product_number system_id product_internal_id internal_id asin parent_asin code item_number article_number artikelnummer artikel_nr art_nr artnr produktnummer bestellnummer
        référence reference réf référence_produit codice codigo código referencia artikelnr artikelnummer object_id _id document_id varenummer indeks kod_produktu артикул код
        商品编号 商品编码 商品id 商品_id 产品编号 货号 编码 商品編號 貨號 商品番号 商品コード 品番 商品管理番号 상품번호 상품코드""",
    "title": """title name product_name productname product_title item_name item_title name1 name_1 produktname artikelname bezeichnung produktbezeichnung titel titre nom nom_du_produit désignation nombre
        nombre_del_producto título titulo nome nome_prodotto titolo naam item productnaam produktnamn nazwa nazwa_produktu název назва название наименование
        商品名称 商品标题 产品名称 名称 标题 品名 宝贝标题 商品名稱 名稱 標題 商品名 品名 タイトル 상품명 제품명""",
    "description": """description desc long_description product_description item_description body body_html body_(html) content short_description summary beschreibung artikelbeschreibung
        produktbeschreibung langbeschreibung kurzbeschreibung description_courte descripción descripcion descripción_corta descrizione descrição omschrijving beschrijving opis popis описание
        商品描述 描述 详情 商品详情 商品簡介 商品说明 商品説明 説明 詳細 상품설명 설명""",
    "brand": """brand brand_name manufacturer manufacturer_name vendor supplier maker store marke hersteller marque fabricant marca fabricante produttore merk fabrikant marka producent výrobce бренд производитель
        品牌 品牌名称 牌子 厂商 ブランド メーカー 브랜드 제조사""",
    "product_type": """product_type categorytext category categories category_path google_product_category type kategorie kategorien warengruppe produkttyp catégorie catégories rubrique categoría categoria categorías categorie
        categorieën kategori kategoria kategória kategorie категория категории 类目 分类 类别 商品分类 商品类目 類別 分類 カテゴリ カテゴリー 카테고리 분류""",
    "price": """price price_vat current_price unit_price regular_price list_price price_gross price_incl_tax gross_price price_tax_incl price_inc_vat price_incl_vat price_inc_tax price_including_vat price_including_tax price_with_tax price_with_vat preis_inkl_mwst selling_price variant_price retail_price retail_price_incl_tax sales_price store_price web_price online_price vk_brutto std_vk_brutto buy_it_now_price buyitnowprice sales_price_price preis verkaufspreis bruttopreis preis_brutto vk_preis prix prix_ttc precio
        precio_con_iva prezzo preço preco prijs pris cena cena_brutto ціна цена 价格 售价 单价 销售价 現價 價格 售價 価格 販売価格 定価 税込価格 가격 판매가""",
    "original_price": """original_price oldprice compare_at_price variant_compare_at_price was_price old_price regular_price list_price price_before_discount strike_price streichpreis alter_preis prix_barré precio_anterior
        原价 市场价 划线价 原價 通常価格 정가""",
    "sale_price": """sale_price special_price discount_price discounted_price offer_price promo_price promotional_price promotion_price online_sale_price angebotspreis aktionspreis sonderpreis prix_promo prix_promotionnel tarif_promo
        precio_rebajado precio_oferta prezzo_in_offerta prezzo_scontato preço_promocional actieprijs cena_promocyjna 促销价 特价 优惠价 活动价 促銷價 セール価格 特価 할인가""",
    "sale_window": "sale_price_effective_date",
    "sale_start": """sale_start sale_price_start_date sale_price_dates_from special_price_from_date special_from_date date_sale_price_starts date_on_sale_from sale_from_date sale_start_date discount_from sale_from
        促销开始 促销开始时间 セール開始""",
    "sale_end": """sale_end sale_price_end_date sale_price_dates_to special_price_to_date special_to_date date_sale_price_ends date_on_sale_to sale_end_date sale_through_date discount_to sale_to sale_until
        促销结束 促销结束时间 セール終了""",
    "shown_from": """shown_from available_on available_from date_available publish_date publish_at publish_on publish_from published_from publish_start publish_start_date visible_from visibility_start_date online_from
        online_date make_active_at active_from go_live_date sichtbar_ab veröffentlichen_ab visible_à_partir_du 公開開始日 公開開始日時 定时上架时间""",
    "shown_until": """shown_until expiration_date expires_at expires_on unpublish_date unpublish_at unpublish_on unpublished_at publish_until published_until publish_to publish_end publish_end_date discontinue_on discontinued_on
        discontinued_at available_until available_to available_till visible_until visible_to visibility_end_date online_until online_to active_until active_to deleted_at deleted_on archived_at removed_at sichtbar_bis end_of_life end_of_life_date eol_date end_of_sale end_of_sale_date auslaufdatum 公開終了日 公開終了日時 定时下架时间 下架时间""",
    "currency": "currency currency_id currencyid currency_code price_currency währung devise moneda valuta moeda waluta měna валюта 币种 货币 幣別 通貨 통화",
    "availability": """availability stock_status stock_availability in_stock is_in_stock available verfügbarkeit lieferstatus lagerstatus verfügbar disponibilité disponibilidad disponibilità disponibilidade
        beschikbaarheid tillgänglighet dostępność dostupnost наличие наявність 库存状态 是否有货 有货 庫存狀態 在庫状況 在庫状態 재고상태""",
    "quantity": """quantity qty stock stock_quantity stock_qty stock_level available_stock current_stock_level current_stock inventory inventory_quantity inventory_qty quantity_available available_quantity on_hand total_on_hand count_on_hand net_stock stock_net_stock current_quantity new_quantity total_quantity total_inventory_quantity bestand lagerbestand lagerbestand_gesamt gesamtbestand lagermenge menge stock_disponible quantité existencias
        cantidad giacenza quantità quantidade estoque voorraad aantal lagersaldo ilość stan_magazynowy stan_magazynu stan_mag liczba_sztuk liczba_szt sztuk magazyn lager lagerstand warenbestand verfügbare_menge stock_physique stock_réel stock_actual magazzino scorte zásoba zásoby sklad készlet stoc množství остаток количество 库存 库存数量 数量 庫存 在庫 在庫数 재고 재고수량""",
    "backorders": "backorders backorders_allowed allow_backorders allow_backorder continue_selling_when_out_of_stock überverkäufe_möglich überverkauf_möglich sell_when_out_of_stock inventory_policy variant_inventory_policy sells_out abverkauf abverkaufsartikel is_closeout closeout laststock only_while_stock_lasts nur_solange_vorrat_reicht",
    "image_link": """image_link image image_url imgurl img img_url image_src main_image_url main_image picture picture_url photo thumbnail bild bild_url bildlink images image_urls product_image_url product_image_file_1 hosted_image_urls image_1 image1 image_url_1 picurl pic_url picture_1 photo_1 bild_1 bild1 imagen imagen_url immagine imagem afbeelding
        zdjęcie obrázek изображение картинка фото 图片 主图 商品图片 图片链接 圖片 画像 商品画像 画像url 이미지""",
    "link": "link url product_url product_link permalink deeplink produkt_url produktlink lien enlace 链接 商品链接 連結 商品url 링크",
    "item_group_id": "item_group_id itemgroup_id parent_id group_id parent_sku parent parent_product_id master_sku style_id 父商品 款号 spu spu_id handle",
    "gtin": """gtin ean upc barcode isbn gtin13 ean13 ean_code gtin_ean variant_barcode strichcode code_barres código_de_barras codice_a_barre 条码 条形码 国际条码 條碼 バーコード jan janコード 바코드""",
    "mpn": "mpn manufacturer_part_number part_number herstellernummer part_no 型番 制造商编号",
    "created": "created created_at date_added date_released release_date published_at product_site_launch_date date_created 上架时间 发布时间 発売日 등록일",
}
SYNONYMS: dict[str, tuple[str, ...]] = {field: tuple(dict.fromkeys(names.split())) for field, names in _NAMES.items()}

#: Columns that say whether a product is shown; all that a file has are read, and the one that hides decides.
STATUS_COLUMNS = (
    INVERSE
    | FILLED
    | AMBIGUOUS
    | frozenset(
        [
            "status",
            "product_status",
            "item_status",
            "publish_status",
            "publication_status",
            "published",
            "is_published",
            "visibility",
            "catalog_visibility",
            "visible",
            "product_visible",
            "listed",
            "searchable",
            "is_visible",
            "active",
            "is_active",
            "enabled",
            "is_enabled",
            "online",
            "is_online",
            "product_online",
            "en_ligne",
            "en_línea",
            "visible_en_ligne",
            "online_sichtbar",
            "w_sprzedaży",
            "aktywny",
            "widoczny",
            "opublikowany",
            "visibile",
            "visível",
            "zichtbaar",
            "publicerad",
            "visible_in_listings",
            "visible_individually",
            "available_for_purchase",
            "publish_to_e_com",
            "product_is_available",
            "sellable",
            "aktiv",
            "sichtbar",
            "sichtbarkeit",
            "veröffentlicht",
            "statut",
            "actif",
            "publié",
            "visibilité",
            "visibilidad",
            "activo",
            "publicado",
            "pubblicato",
            "visibilità",
            "attivo",
            "ativo",
            "zichtbaarheid",
            "actief",
            "gepubliceerd",
            "商品状态",
            "上架状态",
            "是否上架",
            "發布狀態",
            "狀態",
            "公開状態",
            "公開",
            "ステータス",
            "販売状態",
            "판매상태",
            "전시상태",
            "статус",
            "активен",
            "опубликован",
        ]
    )
)
