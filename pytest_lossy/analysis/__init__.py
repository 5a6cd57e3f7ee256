"""Pure functions on results and evidence: intervals, retention, loss."""
