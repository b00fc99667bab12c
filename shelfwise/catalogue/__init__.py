"""What can be sold this second, once for recommendation and search: columns, filters, facets, variants."""
