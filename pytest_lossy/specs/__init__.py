"""Spec files: YAML in, validated declarations out."""
