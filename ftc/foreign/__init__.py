"""Model files that other programs made, opened in place as root artifacts and never changed."""
