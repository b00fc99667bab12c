"""The benchmark `questions`: every question a shop's screens ask, the engine and each question's own baselines.

Everything is learned from before the cutoff, and all who answer a question answer the same draw of it under the same
restrictions (`protocols.py`, which says how to measure a model of your own). Intervals are of NDCG@12 by one paired
bootstrap over the questions.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shelfwise import metrics
from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.evaluation.engine_answers import WITHOUT, EngineAnswers, learned
from shelfwise.evaluation.protocols import BY_SALES, MOST, QUESTIONS, K, QuestionSet, Record, exported
from shelfwise.evaluation.question_baselines import Answer, Baselines
from shelfwise.metrics import Doubles
from shelfwise.models.complements import Complements
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Ints, Sequences
from shelfwise.schema import to_micros
from shelfwise.settings import Settings
from shelfwise.training.complements import fit_complements
from shelfwise.training.dataset import Dataset, read_dataset
from shelfwise.training.learn import EngineModel

if TYPE_CHECKING:
    from shelfwise.store import Store

_ASKED_PAGES = 200  # of each number of sales
_SOLD = [(f"sold {name}", low, high) for name, low, high in BY_SALES]
_PAIRS = 20_000  # of answers, whose overlap is averaged
_BASKETS = (
    "complements",
    "complements, any category",
    "cart",
    "cold page",
    "home, first visit",
)  # what the model of complements answers alone


def questions(
    store: Store,
    folder: Path,
    settings: Settings,
    cutoff: datetime,
    days: int,
    *,
    only: Iterable[str] | None = None,
    export: Path | None = None,
    engine: bool = True,
    without: Iterable[str] = (),
    seed: int = 0,
    most: int = MOST,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """`measure` on a shop's record. What the engine learned is kept in the folder's `work/questions`."""
    dataset = read_dataset(store, folder, settings, progress)
    return measure(
        dataset,
        settings,
        cutoff,
        days,
        only=only,
        export=export,
        engine=engine,
        without=without,
        seed=seed,
        most=most,
        work=folder / "work" / "questions",
        progress=progress,
    )


def measure(
    dataset: Dataset,
    settings: Settings,
    cutoff: datetime,
    days: int,
    *,
    only: Iterable[str] | None = None,
    more: Mapping[str, Answer] | None = None,
    export: Path | None = None,
    engine: bool = True,
    without: Iterable[str] = (),
    learned_here: EngineModel | None = None,
    seed: int = 0,
    most: int = MOST,
    work: Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rows and facts, ready for JSON.

    {"rows": [{"question", "name", "ndcg@12", "hit@12", "recall@12", "low", "high", "overlap", "distinct", "asked"}, …],
     "against": [{"question", "name", "baseline", "difference", "low", "high"}, …], "not_asked": {question: why},
     "pages": [{"pages", "overlap", "variants", "distinct", "asked"}, …],
     "dial": [{"diversity", "ndcg@12", "distance"}, …], "cutoff", "days", "seed"}

    without: of `WITHOUT`, engines learned without this, as rows of their own. learned_here: an engine that has learned
    what is before the cutoff: nothing else is learned, and a question that needs it ("cold page") is not asked.
    pages: what the engine shows on pages drawn at random, by the sales of the page's product; variants: the share of
    places held by one more variant of a product shown already.

    only: questions by name. more: models of your own by name, each `QuestionSet` → ids [n, 12]. export: a file of JSON
    lines with every question. engine: False leaves the engine out, which takes longest to learn. most: questions of a
    kind. work: where what the engine learned is kept. Raises InvalidRequest, and NotEnoughData where nothing at all
    can be asked.
    """
    chosen = tuple(only or QUESTIONS)
    for name in chosen:
        if name not in QUESTIONS:
            raise InvalidRequest("only", f"no question is called {name!r}; there are: {'; '.join(QUESTIONS)}")
    without = tuple(without)
    for name in without:
        if name not in WITHOUT:
            raise InvalidRequest("without", f"nothing is called {name!r}; there are: {', '.join(WITHOUT)}")
    settings = settings.model_copy(update={"validation_days": days})
    record = Record.cut(dataset, to_micros(cutoff) // 1_000_000, days, seed=seed, most=most)
    drawn = {name: record.ask(name) for name in chosen}
    if learned_here is not None:
        drawn |= {
            name: "it needs a training of its own: `shelfwise evaluate --questions`"
            for name, one in drawn.items()
            if isinstance(one, QuestionSet) and one.past is not record.past
        }
    sets = [one for one in drawn.values() if isinstance(one, QuestionSet)]
    not_asked = {name: one for name, one in drawn.items() if isinstance(one, str)}
    if not sets:
        raise NotEnoughData("; ".join(f"{name}: {why}" for name, why in not_asked.items()))
    if export is not None:
        with export.open("w", encoding="utf-8") as file:
            for line in exported(sets, dataset.items.outside):
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
    models = _Models(dataset, settings, days, engine, without, work, progress)
    if learned_here is not None:
        models.know(record.past, learned_here)
    rows: list[dict[str, Any]] = []
    against: list[dict[str, Any]] = []
    for place, questions in enumerate(sets):
        if progress is not None:
            progress(place, len(sets), f"asking: {questions.name}")
        baselines = models.baselines(questions.past).of(questions)
        answers = {**models.ours(questions), **(more or {}), **baselines}
        lists = {name: answer(questions) for name, answer in answers.items()}
        for part, kept in _parts(questions, record.sold):
            measured = _rows(part, kept, questions, lists)
            rows += measured
            against += _against(part, kept, questions, lists, [name for name in lists if name in baselines])
    reason: dict[str, Any] = {"engine_left_out": models.why} if models.why else {}
    if "complements" in chosen and (ours := models.engine_of(record.past)) is not None:
        reason["pages"] = _pages(ours, record.sold, seed)
    known = drawn.get("home, known")
    if isinstance(known, QuestionSet) and (ours := models.engine_of(record.past)) is not None:
        reason["dial"] = ours.dial(known, models.baselines(record.past).content)
    return {
        "rows": rows,
        "against": against,
        "not_asked": not_asked,
        **reason,
        "cutoff": cutoff.astimezone(UTC).date().isoformat(),
        "days": days,
        "seed": seed,
    }


class _Models:
    """What is learned from a past, once for all questions that have it."""

    def __init__(
        self,
        dataset: Dataset,
        settings: Settings,
        days: int,
        engine: bool,
        without: tuple[str, ...],
        work: Path | None,
        progress: Progress | None,
    ) -> None:
        self.dataset = dataset
        self.settings = settings
        self.days = days
        self.engine = engine
        self.without = without
        self.work = work
        self.progress = progress
        self.why = ""
        self._baselines: dict[int, Baselines] = {}
        self._ours: dict[tuple[int, str], Answer] = {}

    def know(self, past: Sequences, model: EngineModel) -> None:
        """Take what was learned from this past already."""
        assert model.bundle is not None
        self._ours[id(past), "engine"] = EngineAnswers(model.bundle, self.settings)
        self._ours[id(past), "complements"] = _of_complements(model.bundle.artefacts["complements"])
        self._baselines[id(past)] = Baselines(past, self.dataset.features, self.days, fitted=model.models)

    def baselines(self, past: Sequences) -> Baselines:
        if id(past) not in self._baselines:
            content = next(iter(self._baselines.values())).content if self._baselines else None
            self._baselines[id(past)] = Baselines(past, self.dataset.features, self.days, content)
        return self._baselines[id(past)]

    def ours(self, questions: QuestionSet) -> dict[str, Answer]:
        """The engine, and the model of complements alone where it is what answers."""
        answers: dict[str, Answer] = {}
        if self.engine and not self.why:
            try:
                answers["engine"] = self._made(questions.past, "engine")
                for name in self.without:
                    if self._has(name):
                        answers[f"engine without {name}"] = self._made(questions.past, name)
            except NotEnoughData as error:
                self.why = str(error)
        if questions.name in _BASKETS:
            answers["complements"] = self._made(questions.past, "complements")
        return answers

    def _has(self, name: str) -> bool:
        """Is there what an engine is to be learned without?"""
        vectors = {"texts": self.dataset.features.text, "photos": self.dataset.features.image}
        part = vectors.get(name)
        return name not in vectors or (part is not None and bool(part.any()))

    def engine_of(self, past: Sequences) -> EngineAnswers | None:
        """The engine that learned this past; None where it did not."""
        made = self._ours.get((id(past), "engine"))
        return made if isinstance(made, EngineAnswers) else None

    def _made(self, past: Sequences, name: str) -> Answer:
        if (id(past), name) not in self._ours:
            items, progress = self.dataset.features, self.progress
            if name == "complements":
                model = fit_complements(past, items, seed=self.settings.seed, progress=progress)
                self._ours[id(past), name] = _of_complements(model)
            else:
                without = "" if name == "engine" else name
                names, settings = self.dataset.items, self.settings
                bundle = learned(past, items, names, settings, self.work, progress, without=without)
                self._ours[id(past), name] = EngineAnswers(bundle, self.settings)
        return self._ours[id(past), name]


def _of_complements(model: Complements) -> Answer:
    def answer(questions: QuestionSet) -> Ints:
        return questions.cut(
            model.answer(seeds, K, allowed=questions.allowed(i))[0] for i, seeds in enumerate(questions.seeds)
        )

    return answer


def _pages(engine: EngineAnswers, sold: np.ndarray[Any, np.dtype[np.int64]], seed: int) -> list[dict[str, Any]]:
    rows = []
    for name, low, high in (("never sold", 0, 0), ("sold 1–5", 1, 5), *_SOLD[1:]):
        products = np.flatnonzero((sold >= low) & (sold <= high)).astype(np.int32)
        products = np.random.default_rng(seed).permutation(products)[:_ASKED_PAGES]
        if len(products) < 2:
            continue
        ids, variants = engine.pages(products, K)
        rows.append(
            {
                "pages": name,
                "overlap": round(overlap(ids), 5),
                "variants": round(variants, 5),
                "distinct": len(np.unique(ids[ids >= 0])),
                "asked": len(products),
            }
        )
    return rows


def _parts(questions: QuestionSet, sold: np.ndarray[Any, np.dtype[np.int64]]) -> list[tuple[str, Ints]]:
    """Names and rows of what gets rows of its own: the whole, and complements by the sales of the page's product."""
    parts: list[tuple[str, Ints]] = [(questions.name, np.arange(len(questions), dtype=np.int32))]
    if questions.name.startswith("complements"):
        of = sold[np.concatenate(questions.seeds)]
        parts += [
            (f"{questions.name} {name}", np.flatnonzero((of >= low) & (of <= high)).astype(np.int32))
            for name, low, high in BY_SALES
        ]
    return [(name, rows) for name, rows in parts if len(rows)]


def _values(kept: Ints, questions: QuestionSet, lists: Mapping[str, Ints]) -> dict[str, dict[str, Doubles]]:
    wanted = questions.wanted.select(kept)
    return {name: metrics.ranking(ids[kept], wanted, (K,)) for name, ids in lists.items()}


def _rows(name: str, kept: Ints, questions: QuestionSet, lists: Mapping[str, Ints]) -> list[dict[str, Any]]:
    values = _values(kept, questions, lists)
    estimates = metrics.summarise({model: one[f"ndcg@{K}"] for model, one in values.items()})
    return [
        {
            "question": name,
            "name": model,
            "ndcg@12": round(estimates[model].mean, 5),
            "hit@12": round(float(np.nanmean(values[model][f"hit_rate@{K}"])), 5),
            "recall@12": round(float(np.nanmean(values[model][f"recall@{K}"])), 5),
            "low": round(estimates[model].low, 5),
            "high": round(estimates[model].high, 5),
            "overlap": round(overlap(ids[kept]), 5),
            "distinct": len(np.unique(ids[kept][ids[kept] >= 0])),
            "asked": len(kept),
        }
        for model, ids in lists.items()
    ]


def _against(
    name: str, kept: Ints, questions: QuestionSet, lists: Mapping[str, Ints], baselines: list[str]
) -> list[dict[str, Any]]:
    """Each of ours less the best baseline, paired: NDCG@12."""
    ndcg = {model: one[f"ndcg@{K}"] for model, one in _values(kept, questions, lists).items()}
    best = max(baselines, key=lambda model: float(np.nanmean(ndcg[model])))
    ours = [model for model in lists if model not in baselines]
    estimates = metrics.summarise({model: ndcg[model] - ndcg[best] for model in ours})
    return [
        {
            "question": name,
            "name": model,
            "baseline": best,
            "difference": round(estimates[model].mean, 5),
            "low": round(estimates[model].low, 5),
            "high": round(estimates[model].high, 5),
        }
        for model in ours
    ]


def overlap(ids: Ints) -> float:
    """Mean share of equal products between two random answers (of the longer one); ids int32 [n, k], -1 for none."""
    n = len(ids)
    if n < 2:
        return 0.0
    random = np.random.default_rng(0)
    one = random.integers(0, n, _PAIRS)
    other = (one + random.integers(1, n, _PAIRS)) % n
    first, second = ids[one], ids[other]
    equal = ((first[:, :, None] == second[:, None, :]) & (first[:, :, None] >= 0)).any(axis=2).sum(axis=1)
    size = np.maximum((first >= 0).sum(axis=1), (second >= 0).sum(axis=1))
    return float(np.mean(equal / np.maximum(size, 1)))
