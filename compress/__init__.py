"""Artifact in, Artifact out: export, quantization, and later pruning and distillation."""
