"""Artifact in, Measurement out: candidates side by side, each in a process of its own, in shuffled rounds.

candidates -> run -> remote == wire == worker (one process each)
               |-> options, timed, cores, conditions: what is measured, on what, where
               |-> trial, timing, plan, sampling: whose turn it is    clock: what a turn does
               |-> log, results, resume: what is kept, and gone on with
               '-> intervals, statistics, agreement -> standing, leaderboard, cautions -> report, winner
     alike, compare: one run against another    described: conditions in words    page/: a report of results files
     tracking: a run in MLflow

How and why it is measured so is in README.md beside this file.
"""
