"""Which products count as one in an answer."""

from shelfwise.catalogue.variants import variant_keys


def test_a_pack_size_anywhere_in_the_title_makes_no_other_product() -> None:
    titles = ["White Milk, 1 GA, Own", "White Milk, Own", "white milk 1 qt. Own", "White Milk - 2 pints, Own"]
    keys = variant_keys([""] * 4, ["Own"] * 4, titles)
    assert keys[0] >= 0
    assert len(set(keys.tolist())) == 1


def test_groups_go_before_titles_and_other_brands_are_others() -> None:
    keys = variant_keys(["g1", "g1", "g2", "", "", ""], ["A", "B", "A", "A", "B", ""], ["Tea"] * 6).tolist()
    assert keys[0] == keys[1]
    assert len({*keys[1:5]}) == 4
    assert keys[5] == -1


def test_numbers_that_are_no_pack_size_tell_products_apart() -> None:
    assert len(set(variant_keys(["", ""], ["A", "A"], ["Model 12 lamp", "Model 14 lamp"]).tolist())) == 2
