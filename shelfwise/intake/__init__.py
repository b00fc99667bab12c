"""What comes in: product feeds, event logs, public data; checked, cleaned, reported."""

from shelfwise.intake.report import Issue, QualityReport

__all__ = ["Issue", "QualityReport"]
