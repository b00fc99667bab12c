"""A file of an A/B test as samples: which column is the treatment, which describe the customer, which give the end
away.

A column may describe a customer only if it was known before the contact. Left out are ids and texts, columns without
variety, and what happened afterwards, seen by what it does: it says the outcome (nobody has one without the other), it
is filled in one arm only, or it differs between arms that agree in everything else, which only the contact can have
done.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import polars as pl

from shelfwise.errors import InvalidRequest, NotEnoughData, UnreadableFile
from shelfwise.plan.campaigns.learners import Sample
from shelfwise.plan.campaigns.propensity import propensity

MOST_ARMS = 10
LEVELS = 20  # of a categorical column that keep a column of their own
FEWEST = 100  # customers of an arm
_FEWEST_OUTCOMES = 30  # customers with another outcome than most
_NOTHING = ["", "NA", "N/A", "na", "n/a", "NULL", "Null", "null", "NaN", "nan", "None", "-"]
_IDS = re.compile(
    r"(^|[_ .-])(id|ids|uuid|guid|key|email|e-mail|phone|index|hash|name|row)$|^(id|uuid|unnamed|index)", re.I
)
_AFTER = re.compile(
    r"^(visit|visits|visited|conversion|conversions|converted|clicked|opened|redeemed|redemption|redemptions|responded|"
    r"response|outcome|target|label|unsubscribed|treatment_effect|exposure)$|^(post|after)[_ ]|[_ ](after|post)$",
    re.I,
)
_CONTROLS = (
    "control",
    "none",
    *("no", "n", "nein", "non", "não", "nee", "nej", "nie", "ne", "нет", "否", "无", "いいえ", "아니오"),
    "false",
    "f",
    "0",
    "holdout",
    "held out",
    "no treatment",
    "untreated",
    "placebo",
    "c",
    "kontrolle",
    "kontrollgruppe",
    "contrôle",
    "témoin",
    "ohne",
    "对照组",
    "对照",
)
_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{4}/\d\d?/\d\d?|\d\d?[./]\d\d?[./]\d{4}")
_YES = {"yes", "y", "true", "t", "1", "ja", "j", "oui", "sí", "si", "sim", "tak", "да", "是", "はい", "wahr", "vrai"}
_NO = {"no", "n", "false", "f", "0", "nein", "non", "não", "nao", "nee", "nie", "нет", "否", "いいえ", "falsch", "faux"}
_MONEY = r"\s*(?:[€$£¥₹]|\b(?:EUR|USD|GBP|CHF|JPY|CNY|PLN|Kč|zł|kr)\b\.?)\s*"
_AMOUNT = r"^[-+]?\d[\d.,'\u00a0 ]*$"


@dataclass(frozen=True, slots=True)
class LeftOut:
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class Experiment:
    """arms: each arm's name beside the control's, largest first. arm: int [n], -1 the control, else a place in `arms`.
    trees, linear: what a customer is, as in Sample. chance: float [n, arms + 1], the control last. random: whether the
    arms agree in what was known before. overlap: the part of customers who could have been in either arm
    (0.05–0.95)."""

    arms: tuple[str, ...]
    control: str
    arm: np.ndarray
    outcome: np.ndarray
    trees: np.ndarray
    linear: np.ndarray
    chance: np.ndarray
    used: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    warnings: tuple[str, ...]
    random: bool
    overlap: float
    names: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.outcome)

    def of(self, rows: np.ndarray) -> Experiment:
        names = ("arm", "outcome", "trees", "linear", "chance")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    def against_control(self, place: int) -> tuple[Sample, np.ndarray]:
        """The customers of one arm and of the control as a sample, and their rows."""
        rows = np.flatnonzero((self.arm == place) | (self.arm == -1))
        both = self.chance[rows][:, [place, -1]]
        return (
            Sample(
                self.trees[rows],
                self.linear[rows],
                self.arm[rows] == place,
                self.outcome[rows],
                both[:, 0] / both.sum(1),
            ),
            rows,
        )


def read_table(path: Path, *, texts: bool = False) -> pl.DataFrame:
    """CSV (comma, semicolon, tab, bar; UTF-8 or Windows-1252; .gz), Parquet or JSON Lines. texts: read every
    column of a CSV as text, for ids that look like numbers. Raises UnreadableFile."""
    path = Path(path)
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path)
        data = _bytes(path)
        if path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
            return pl.read_ndjson(data, infer_schema_length=None)
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("cp1252", errors="replace")
        head = text.split("\n", 1)[0]
        separator = max(",;\t|", key=head.count)
        frame = pl.read_csv(
            text.encode(),
            separator=separator,
            infer_schema=not texts,
            infer_schema_length=None,
            null_values=_NOTHING,
            try_parse_dates=not texts,
            truncate_ragged_lines=False,
        )
    except FileNotFoundError:
        raise UnreadableFile(path, "there is no such file") from None
    except (pl.exceptions.PolarsError, OSError, EOFError) as error:
        raise UnreadableFile(path, f"not a table that can be read: {str(error).splitlines()[0][:200]}") from None
    if frame.is_empty():
        raise UnreadableFile(path, "has no rows")
    frame = frame.rename({name: name.strip() for name in frame.columns})
    return frame if texts else _numbered(frame)


def _numbered(frame: pl.DataFrame) -> pl.DataFrame:
    """With texts as numbers where they are amounts as people write them (12,50 €; 1.299,00; £3), at most three words
    among them ("k.A.") standing for none."""
    for column in frame.select(pl.col(pl.String)):
        texts = column.str.strip_chars().str.replace_all(_MONEY, "")
        shaped = texts.str.contains(_AMOUNT)
        known = texts.is_not_null() & (texts != "")
        few = int(shaped.sum()) < 0.8 * int(known.sum())
        if not shaped.any() or few or column.filter(known & ~shaped).n_unique() > 3:
            continue
        plain = texts.filter(shaped)
        comma = plain.str.contains(r",\d{1,2}$|,\d{4,}$|\.\d{3},").any() or (
            not plain.str.contains(r"\.").any() and not plain.str.contains(r"^\D?\d{1,3}(,\d{3})+$").all()
        )
        group, point = (".", ",") if comma else (",", ".")
        numbers = texts.set(~shaped.fill_null(value=False), None).str.replace_all(f"[{group}'\u00a0 ]", "")
        frame = frame.with_columns(numbers.str.replace(point, ".", literal=True).cast(pl.Float64, strict=False))
    return frame


def _bytes(path: Path) -> bytes:
    import gzip

    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def experiment(
    frame: pl.DataFrame,
    treatment: str,
    outcome: str,
    *,
    control: str | None = None,
    features: Sequence[str] = (),
    exclude: Sequence[str] = (),
    only_arm: str | None = None,
) -> Experiment:
    """Read an A/B test. features: use just these columns; exclude: not these. Raises InvalidRequest for a column or a
    control that is not there or customers who could have been in one arm only, NotEnoughData for one arm."""
    for name, option in (
        (treatment, "--treatment"),
        (outcome, "--outcome"),
        *((f, "--features") for f in features),
        *((f, "--exclude") for f in exclude),
    ):
        if name not in frame.columns:
            raise InvalidRequest(option, f"there is no column {name!r}; the columns are {', '.join(frame.columns)}")
    if treatment == outcome:
        raise InvalidRequest("--outcome", "is the treatment; name the column that says what came of it")
    warnings: list[str] = []
    frame = _without(frame, pl.col(treatment).is_null(), f"rows without {treatment!r} were left out", warnings)
    arm_names = frame[treatment].cast(pl.String).str.strip_chars()
    counts = dict(arm_names.value_counts(sort=True, name="rows").iter_rows())
    if len(counts) < 2:
        raise NotEnoughData(
            f"{treatment!r} has one arm only ({', '.join(counts) or 'none'}): without people who were left alone there "
            "is nothing to compare with"
        )
    if len(counts) > MOST_ARMS:
        raise InvalidRequest(
            "--treatment", f"{treatment!r} has {len(counts)} values; at most {MOST_ARMS} arms are compared"
        )
    base = _control(counts, control, treatment)
    arms = [name for name in counts if name != base]
    if only_arm is not None:
        if only_arm not in arms:
            raise InvalidRequest(
                "--arm", f"there is no arm {only_arm!r}; the arms beside {base!r} are {', '.join(arms)}"
            )
        arms = [only_arm]
        keep = arm_names.is_in([only_arm, base])
        frame, arm_names = frame.filter(keep), arm_names.filter(keep)
    values = _outcome(frame[outcome], outcome)
    missing = values.is_null()
    if missing.any():
        shares = ", ".join(f"{name}: {int((missing & (arm_names == name)).sum()):,}" for name in (*arms, base))
        warnings.append(
            f"{int(missing.sum()):,} rows have no {outcome!r} ({shares}) and were left out, not taken for 0; if a "
            f"missing "
            "value means that nothing came, write 0 there"
        )
        frame, arm_names, values = frame.filter(~missing), arm_names.filter(~missing), values.filter(~missing)
    arm = np.full(frame.height, -1)
    for place, name in enumerate(arms):
        arm[(arm_names == name).to_numpy()] = place
    for name, rows in ((base, arm == -1), *((name, arm == place) for place, name in enumerate(arms))):
        if rows.sum() < FEWEST:
            raise NotEnoughData(
                f"the arm {name!r} has {int(rows.sum())} customers with an outcome; {FEWEST} are needed"
            )
    y = values.to_numpy().astype(np.float64)
    if float(np.ptp(y)) == 0:
        raise NotEnoughData(f"{outcome!r} is {y[0]:g} for everybody; an outcome that varies is needed")
    usual, count = pl.Series(y).value_counts(sort=True, name="rows").row(0)
    if len(y) - count < _FEWEST_OUTCOMES:
        raise NotEnoughData(
            f"{outcome!r} is {usual:g} for all but {len(y) - count} customers; {_FEWEST_OUTCOMES} others are needed to "
            "tell who is changed"
        )
    frame = _dated(frame)
    chosen, left_out = _choose(frame, [treatment, outcome], arm, y, features, exclude)
    if not chosen:
        gone = "; ".join(f"{one.column!r}: {one.reason}" for one in left_out[:5])
        raise NotEnoughData(
            f"no column is left that describes a customer{f' ({gone})' if gone else ''}; name some with --features"
        )
    trees, linear, names = _encode(frame.select(chosen))
    chance, random, overlap, said = propensity(trees, arm, len(arms), names)
    warnings += said
    return Experiment(
        tuple(arms),
        base,
        arm,
        y,
        trees,
        linear,
        chance,
        tuple(chosen),
        tuple(left_out),
        tuple(warnings),
        random,
        overlap,
        names,
    )


def _without(frame: pl.DataFrame, condition: pl.Expr, why: str, warnings: list[str]) -> pl.DataFrame:
    kept = frame.filter(~condition)
    if kept.height < frame.height:
        warnings.append(f"{frame.height - kept.height:,} {why}")
    return kept


def _control(counts: dict[str, int], given: str | None, treatment: str) -> str:
    if given is not None:
        same = [name for name in counts if name == given] or [
            n for n in counts if n.casefold() == given.strip().casefold()
        ]
        if not same:
            raise InvalidRequest("--control", f"{treatment!r} is never {given!r}; it is one of {', '.join(counts)}")
        return same[0]
    for likely in _CONTROLS:
        for name in counts:
            if name.casefold() == likely or _number(name) == _number(likely) == 0:
                return name
    worded = [name for name in counts if re.search(r"control|holdout|^no[ _-]|^not |without", name, re.I)]
    if len(worded) == 1:
        return worded[0]
    raise InvalidRequest("--control", f"say which value of {treatment!r} means left alone: {', '.join(counts)}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _outcome(column: pl.Series, name: str) -> pl.Series:
    """As numbers, yes and no as 1 and 0."""
    if column.dtype == pl.Boolean:
        return column.cast(pl.Float64)
    if column.dtype.is_numeric():
        return column.cast(pl.Float64).fill_nan(None)
    texts = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    if set(texts.drop_nulls().unique()) <= _YES | _NO:
        return texts.replace_strict({**dict.fromkeys(_YES, 1.0), **dict.fromkeys(_NO, 0.0)}, default=None)
    raise InvalidRequest(
        "--outcome",
        f"{name!r} holds {texts.drop_nulls()[0][:40]!r}; it must be a number, true and false, or yes and no",
    )


def _choose(
    frame: pl.DataFrame,
    roles: list[str],
    arm: np.ndarray,
    y: np.ndarray,
    features: Sequence[str],
    exclude: Sequence[str],
) -> tuple[list[str], list[LeftOut]]:
    chosen: list[str] = []
    left_out: list[LeftOut] = []
    for name in frame.columns:
        if name in roles:
            continue
        if name in exclude:
            left_out.append(LeftOut(name, "as asked"))
        elif features:
            if name in features:
                chosen.append(name)
            else:
                left_out.append(LeftOut(name, "not among --features"))
        elif reason := _reason_against(frame[name], name, arm, y):
            left_out.append(LeftOut(name, reason))
        else:
            chosen.append(name)
    if not features:
        for name, other in _steps(frame.select(chosen)).items():
            chosen.remove(name)
            left_out.append(LeftOut(name, f"says {other!r} again, in steps"))
    # A made value stands out only where the other columns agree between arms.
    if not features:
        odd = {name: _imbalance(frame[name], arm) for name in chosen}
        apart = [
            name
            for name, value in odd.items()
            if value > _CHANCE and not (frame[name].dtype.is_numeric() and _separates(frame[name], arm >= 0) > 0.97)
        ]
        if apart and len(apart) <= max(1, len(chosen) // 5) and len(chosen) - len(apart) >= 3:
            for name in apart:
                chosen.remove(name)
                left_out.append(
                    LeftOut(name, "differs between the arms where nothing else does: the contact changed it")
                )
    return chosen, left_out


#: A standardised difference, in standard errors, that chance gives once in a billion columns.
_CHANCE = 6.0


def _reason_against(column: pl.Series, name: str, arm: np.ndarray, y: np.ndarray) -> str:
    """Why the column cannot describe a customer, "" if it can."""
    n, known = len(column), column.drop_nulls()
    distinct = known.n_unique()
    if distinct == 0:
        return "empty"
    if distinct + int(known.len() < n) == 1:
        return "the same for everybody"
    whole = column.dtype.is_integer() or column.dtype in (pl.String, pl.Categorical)
    if _IDS.search(name) and distinct > 0.5 * known.len():
        return "an id"
    if column.dtype in (pl.String, pl.Categorical) and distinct > max(1_000, 0.2 * n):
        return "an id or free text: nearly every value is another"
    if column.dtype in (pl.String, pl.Categorical) and not _levels(column.drop_nulls()):
        return f"{distinct:,} values, none of them of {FEWEST} customers"
    if whole and column.dtype.is_integer() and distinct == n and n > 1_000 and _counts_up(known):
        return "an id: it counts the rows"
    if column.dtype.is_nested():
        return "a list or an object"
    if distinct <= MOST_ARMS + 1 and _restates(column, arm):
        return "says the treatment in other words"
    active = _active(column)
    if active is not None:
        happened, had = y > y.min(), active
        share = had.mean()
        if had.sum() >= 20 and (~had).sum() >= 20:
            if happened[had].mean() >= 0.98 and happened.mean() <= 0.8:
                return "says the outcome: nobody has it without one"
            if happened.sum() >= 20 and had[happened].mean() >= 0.98 and share <= 0.5:
                return "says the outcome: everybody with one has it"
            treated = arm >= 0
            if had[treated].mean() > 0.01 and had[~treated].mean() < 0.02 * had[treated].mean():
                return "is there for the contacted only: the contact made it"
    if _AFTER.search(name):
        return "sounds like something that came after the contact (keep it with --features)"
    if column.dtype.is_numeric() and _separates(column, y > y.min()) >= 0.97:
        return "says the outcome"
    return ""


def _steps(frame: pl.DataFrame) -> dict[str, str]:
    """Texts that say a number again in steps (an age and its age group): text column -> the number's column."""
    numbers = [column.name for column in frame if column.dtype.is_numeric()]
    steps: dict[str, str] = {}
    for column in frame:
        levels = column.n_unique()
        if column.dtype.is_numeric() or not 3 <= levels <= LEVELS:
            continue
        for name in numbers:
            if frame[name].n_unique() <= 2 * levels or frame[name].is_null().any():
                continue
            ends = (
                frame.group_by(column.name)
                .agg(low=pl.col(name).min(), high=pl.col(name).max())
                .sort("low", "high")
                .select(apart=pl.col("low").shift(-1).fill_null(float("inf")) >= pl.col("high"))
            )
            if ends["apart"].all():
                steps[column.name] = name
                break
    return steps


def _counts_up(known: pl.Series) -> bool:
    low, high = int(known.min()), int(known.max())  # type: ignore[arg-type]
    return known.is_sorted() or high - low < 2 * len(known)


def _restates(column: pl.Series, arm: np.ndarray) -> bool:
    """Each value belongs to one arm, and each arm has one value."""
    pairs = pl.DataFrame({"value": column.cast(pl.String), "arm": arm}).unique()
    return pairs.height == pairs["value"].n_unique() == pairs["arm"].n_unique()


def _active(column: pl.Series) -> np.ndarray | None:
    """Where the column departs from its usual value, if it has one that half of the rows share."""
    value, count = column.value_counts(sort=True, name="rows").row(0)
    if count < 0.5 * len(column):
        return None
    return np.asarray(column.ne_missing(value).to_numpy())


def _separates(column: pl.Series, happened: np.ndarray) -> float:
    """How surely one column tells who had the outcome: the area under its ROC curve, in either direction."""
    ranks = column.cast(pl.Float64).fill_null(column.min()).rank().to_numpy()
    ones, zeros = int(happened.sum()), int((~happened).sum())
    if min(ones, zeros) < 20:
        return 0.5
    area = (ranks[happened].sum() - ones * (ones + 1) / 2) / (ones * zeros)
    return float(max(area, 1 - area))


def _imbalance(column: pl.Series, arm: np.ndarray) -> float:
    """The largest difference of the column between contacted and control, in standard errors."""
    trees, _, _ = _encode(column.to_frame())
    treated = arm >= 0
    worst = 0.0
    for values in trees.T:
        values = np.where(np.isnan(values), np.nanmean(values), values)
        spread = np.sqrt(values[treated].var() / treated.sum() + values[~treated].var() / (~treated).sum())
        if spread > 0:
            worst = max(worst, abs(values[treated].mean() - values[~treated].mean()) / spread)
    return float(worst)


def _levels(texts: pl.Series) -> list[str]:
    """The commonest values, at most LEVELS, each of as many customers as tell something."""
    common = texts.value_counts(sort=True, name="rows").sort("rows", texts.name, descending=[True, False])
    fewest = min(FEWEST, len(texts) / 50)
    return common.filter(pl.col("rows") >= fewest)[texts.name].head(LEVELS).to_list()


def _dated(frame: pl.DataFrame) -> pl.DataFrame:
    """With texts of which 99 in 100 are dates or times as such."""
    for column in frame.select(pl.col(pl.String)):
        known = column.drop_nulls()
        if known.is_empty() or not _DATE.match(known[0]):
            continue
        for form in (None, "%m/%d/%Y", "%m/%d/%Y %H:%M"):
            try:
                times = column.str.to_datetime(form, time_unit="us", strict=False)
            except pl.exceptions.PolarsError:
                continue
            if times.count() >= 0.99 * len(known):
                frame = frame.with_columns(times)
                break
    return frame


def _encode(frame: pl.DataFrame) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """trees: numbers as they are, missing ones nan, categories as columns of 0 and 1. linear: skewed numbers by their
    logarithm, all standardised, a column for what is missing, none for a category's commonest value."""
    trees, linear, names = [], [], []
    for column in frame:
        kind = column.dtype
        if kind.is_temporal():
            if kind == pl.Time or kind == pl.Duration:
                numbers = column.to_physical().cast(pl.Float64).to_numpy()
            else:
                numbers = column.cast(pl.Datetime("us")).dt.epoch("s").cast(pl.Float64).to_numpy() / 86_400
        elif kind.is_numeric() or kind == pl.Boolean:
            numbers = column.cast(pl.Float64).to_numpy().copy()
            numbers[~np.isfinite(numbers)] = np.nan
        else:
            texts = column.cast(pl.String).fill_null("(missing)").str.strip_chars()
            common = _levels(texts)
            for place, value in enumerate(common):
                flag = (texts == value).to_numpy().astype(np.float64)
                trees.append(flag)
                if place > 0 or len(common) < texts.n_unique():  # else the others say it
                    linear.append(flag)
                names.append(f"{column.name}={value}")
            continue
        trees.append(numbers)
        names.append(column.name)
        gone = np.isnan(numbers)
        seen = numbers[~gone]
        if gone.any() and (~gone).any():
            linear.append(gone.astype(np.float64))
        if len(seen) and seen.min() >= 0 and seen.max() > 0 and seen.mean() > 1.5 * np.median(seen):
            numbers = np.log1p(numbers / max(float(np.median(seen)), 1e-9) if np.median(seen) > 0 else numbers)
        linear.append(np.where(gone, np.nanmean(numbers) if len(seen) else 0.0, numbers))
    flat = np.column_stack(linear)
    spread = flat.std(0)
    flat = (flat - flat.mean(0)) / np.where(spread > 0, spread, 1)
    return np.column_stack(trees).astype(np.float64), np.clip(flat, -10, 10), tuple(names)
