"""Demand: what will sell, with honest intervals."""
