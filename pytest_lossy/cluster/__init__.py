"""A run on a Ray cluster: the driver judges, actors on any machine load models and evaluate samples."""
