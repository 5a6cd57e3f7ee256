"""Adapters from model files and builders to the model protocol."""
