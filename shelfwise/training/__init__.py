"""The record in, bundle out: dataset, training, baselines, evaluation, report."""
