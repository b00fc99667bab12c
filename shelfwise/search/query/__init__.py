"""What a query says: text to terms, spelling, synonyms, Chinese, and the intents read from its words."""
