"""What happens to a ranked list before it is an answer: one file a step, listed in `steps.py`."""
