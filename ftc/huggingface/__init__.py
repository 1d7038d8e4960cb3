"""Hugging Face checkpoints: where most models come from."""
