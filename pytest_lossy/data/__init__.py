"""Data sets: samples that are cheap to list and costly to load."""
