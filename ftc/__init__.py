"""`ftc`: from a fine-tuned checkpoint to the fastest form of it that can be shipped, proven by a measurement."""

__version__ = "0.1.0"
