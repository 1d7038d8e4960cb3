"""The search from a checkpoint to its fastest form inside an accuracy budget; it carries values between the rooms."""
