"""Evaluating cases: loading, decoding, compressing, inferring, scoring."""
