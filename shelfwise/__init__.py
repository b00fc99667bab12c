"""Shelfwise: the search and recommendation engine an online shop installs instead of renting one."""

__version__ = "0.1.0"
