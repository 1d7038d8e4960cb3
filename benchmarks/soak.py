"""A service under steady load of mixed lengths for minutes: errors, latency, and how its memory grows."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import psutil
from served import served, texts_of

from bench.clients import closed_loop, open_loop, request
from bench.plan import poisson_ns

STEP_S = 10.0


def _memory_bytes(pid: int) -> int:
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    return sum(int(member.memory_info().rss) for member in family)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("artifact", type=Path, help="a text classifier")
    parser.add_argument("--data", required=True, help="texts")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--share", type=float, default=0.7, help="of the highest rate that 32 clients reach")
    options = parser.parse_args()
    texts = texts_of(options.artifact, options.data, 1000)
    chance = random.Random(0)
    # one to eight texts a request, every fiftieth text long enough to be cut
    bodies = [
        [chance.choice(texts) * (30 if chance.random() < 0.02 else 1) for _ in range(chance.choice((1, 1, 1, 2, 4, 8)))]
        for _ in range(2000)
    ]
    with served(options.artifact) as (server, _):
        requests = [request(server.url, json.dumps({"texts": body}).encode()) for body in bodies]
        peak = closed_loop(server.url, requests, clients=32, seconds=STEP_S).per_second()
        rate = options.share * peak
        print(f"peak {peak:.0f} requests/s; steady {rate:.0f}")
        answered, errors, memory = 0, 0, list[int]()
        p99 = []
        for step in range(max(7, round(options.minutes * 60 / STEP_S))):
            answers = open_loop(server.url, requests, poisson_ns(rate, round(rate * STEP_S), (0, step)))
            answered += answers.statuses.get(200, 0)
            errors += answers.errors
            memory.append(_memory_bytes(server.process.pid))
            p99.append(answers.percentile_ms(0.99))
    after_a_minute = memory[round(60 / STEP_S) - 1]
    print(f"{answered} answered in {len(memory) * STEP_S / 60:.1f} minutes, {errors} errors")
    print(f"p99 {sorted(p99)[len(p99) // 2]:.0f} ms (median over pieces of {STEP_S:.0f} s)")
    print(f"memory after the first minute {after_a_minute / 1e6:.1f} MB, at the end {memory[-1] / 1e6:.1f} MB")
    print(f"growth {100 * (memory[-1] / after_a_minute - 1):.2f} %")


if __name__ == "__main__":
    main()
