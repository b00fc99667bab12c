"""What a shop plans with what it learned."""
