"""Inventory: what to order, when, and what it costs to be wrong."""
