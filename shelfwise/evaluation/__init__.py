"""What tells how good an answer is: protocols, baselines, reports."""
