"""What ``benchmarks/speed.py`` measures: ours, the floor, and what users do today."""
