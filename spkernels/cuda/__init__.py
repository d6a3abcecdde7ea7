"""Products on NVIDIA GPUs."""
