"""What is measured: evidence per sample, metrics as a weighted reduce."""
