"""What comes in: feeds and logs, checked, cleaned and reported."""
