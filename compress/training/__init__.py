"""Training: one engine, and the objectives, schedules and rows that it is given."""
