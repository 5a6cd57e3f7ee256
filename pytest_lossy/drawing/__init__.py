"""Pictures of predictions: numpy and Pillow alone, pure functions, the same bytes for the same input."""
