"""The demo: data from a written grammar, a small model trained on it, and the whole job done with them."""
