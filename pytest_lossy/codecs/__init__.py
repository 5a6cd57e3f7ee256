"""Lossy round trips with one quality parameter."""
