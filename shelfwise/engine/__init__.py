"""Bundle and live state in, answer out."""
