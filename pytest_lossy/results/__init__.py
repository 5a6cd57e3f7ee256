"""Rows, evidence and the report folder of a run."""
