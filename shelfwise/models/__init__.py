"""What is learned, as definitions."""
