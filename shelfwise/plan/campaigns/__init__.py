"""Campaigns: which offer for whom, what it brings, and whether to send at all."""
