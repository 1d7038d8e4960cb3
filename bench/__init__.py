"""Artifact in, Measurement out: candidates side by side, each in a process of its own, in shuffled rounds.

candidates -> run -> remote == wire == worker (one process each)
               |-> plan, sampling: whose turn it is    clock: what a turn does
               |-> conditions, results: what is kept
               '-> statistics, leaderboard, report: what follows from it
"""
