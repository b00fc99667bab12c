"""In which order: the features of a product for a query, and their weighted sum."""
