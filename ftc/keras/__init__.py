"""Keras models: `.keras` files, whole `.h5` files and SavedModel directories, opened in place and never changed."""
