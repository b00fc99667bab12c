"""What comes in: product feeds, event logs, public data; checked, cleaned, reported."""

from shelfwise.intake import datasets
from shelfwise.intake.events import load_events
from shelfwise.intake.products import load_products
from shelfwise.intake.quality import check
from shelfwise.intake.report import Issue, QualityReport

__all__ = ["Issue", "QualityReport", "check", "datasets", "load_events", "load_products"]
