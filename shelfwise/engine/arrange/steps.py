"""The steps of arrange, in order. One file and one line each.

Filters come before ranking, with the candidates, so that no work is done for what may not be shown.
"""

from shelfwise.engine.arrange.by_rules import by_rules
from shelfwise.engine.arrange.by_stock import by_stock
from shelfwise.engine.arrange.diversity import departments, diverse
from shelfwise.engine.arrange.durables import durables_wait
from shelfwise.engine.arrange.ranked import SearchStep, Step
from shelfwise.engine.arrange.variants import one_variant

STEPS: list[Step] = [by_stock, durables_wait, by_rules, one_variant, departments, diverse]
#: Those of them that a search's answer goes through as well, unless it is sorted by something else than relevance.
#: Its variants are grouped by the page (search/paging.py), which names them.
SEARCH_STEPS: list[SearchStep] = [by_rules]
