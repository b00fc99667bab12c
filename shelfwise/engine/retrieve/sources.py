"""The sources of candidates, in the order in which an answer's equals are named. One file and one line each."""

from shelfwise.engine.retrieve.collaborative import Collaborative
from shelfwise.engine.retrieve.complements import ComplementsSource
from shelfwise.engine.retrieve.content import Content
from shelfwise.engine.retrieve.ease import EaseSource
from shelfwise.engine.retrieve.interest import Interest
from shelfwise.engine.retrieve.item_knn import ItemKnn
from shelfwise.engine.retrieve.new import New
from shelfwise.engine.retrieve.next_basket import NextBasket
from shelfwise.engine.retrieve.popular import Popular
from shelfwise.engine.retrieve.rated import Rated
from shelfwise.engine.retrieve.repurchase import RepurchaseSource
from shelfwise.engine.retrieve.searched import Searched
from shelfwise.engine.retrieve.source import Source
from shelfwise.engine.retrieve.viewed import Viewed

SOURCES: list[type[Source]] = [
    Searched,
    ComplementsSource,
    Collaborative,
    ItemKnn,
    EaseSource,
    Content,
    Popular,
    Interest,
    RepurchaseSource,
    NextBasket,
    Viewed,
    New,
    Rated,
]
