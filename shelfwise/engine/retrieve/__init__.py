"""The sources of candidates: one file each, listed in `sources.py`."""
