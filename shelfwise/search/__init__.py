"""Search: the way of a query from its text to a page of products."""
