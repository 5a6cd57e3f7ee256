"""thresholds.yaml: gates (rules), reading them (reader) and judging a case by them (verdicts)."""
