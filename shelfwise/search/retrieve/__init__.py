"""Which products a query may find: by words, by vectors, by what earlier searchers turned to."""
