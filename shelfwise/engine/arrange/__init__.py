"""What happens to a ranked list before it is an answer, in order."""
