"""Structured pruning: what is cut out of a network, chosen on data, and how the rest makes up for it."""
