"""How build time, memory and latency grow with the catalogue: simulated catalogues of 10,000 to a million products.

    OMP_NUM_THREADS=1 python benchmarks/growth.py [--products 10000 100000 1000000] [--out bench-out]

Each size runs in a process of its own, one thread. Writes growth.json, growth.md and growth.png to --out. The network
is not trained: times do not depend on its weights. Memory is the process's peak, the simulation's own included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

CUSTOMERS = 500


def one(n: int) -> dict[str, Any]:
    import numpy as np
    import torch
    from engine import quantiles, simulated

    from shelfwise.engine.request import Request

    torch.set_num_threads(1)
    began = time.perf_counter()
    engine, states = simulated(n)
    built = time.perf_counter() - began
    who = states[: 2 * CUSTOMERS]
    request = Request(customer="c")
    for state in who[:CUSTOMERS]:
        engine.recommend(request, state)
    times = []
    for state in who[CUSTOMERS:]:
        before = time.perf_counter()
        engine.recommend(request, state)
        times.append(time.perf_counter() - before)
    similar = []
    for row in np.random.default_rng(0).choice(n, CUSTOMERS, replace=False).tolist():
        before = time.perf_counter()
        engine.similar(f"p{row}")
        similar.append(time.perf_counter() - before)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "products": n,
        "build_s": round(built, 1),
        "peak_memory_mib": round(peak / (1024 if sys.platform != "darwin" else 1024 * 1024)),
        "recommend": quantiles(times),
        "similar": quantiles(similar),
    }


def table(rows: list[dict[str, Any]]) -> str:
    lines = ["| products | build, s | peak memory, MiB | recommend p50, ms | p99, ms | similar p50, ms | p99, ms |"]
    lines.append("|---:|---:|---:|---:|---:|---:|---:|")
    lines += [
        f"| {row['products']:,} | {row['build_s']} | {row['peak_memory_mib']:,} | {row['recommend']['p50_ms']} "
        f"| {row['recommend']['p99_ms']} | {row['similar']['p50_ms']} | {row['similar']['p99_ms']} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def plot(rows: list[dict[str, Any]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(10, 4), constrained_layout=True)
    products = [row["products"] for row in rows]
    for name in ("recommend", "similar"):
        for share in ("p50_ms", "p99_ms"):
            style = "-o" if share == "p50_ms" else "--o"
            left.plot(products, [row[name][share] for row in rows], style, label=f"{name} {share[:3]}")
    left.set(xscale="log", xlabel="products", ylabel="milliseconds", title="Latency, one thread", ylim=(0, None))
    left.legend()
    right.plot(products, [row["build_s"] for row in rows], "-o", label="build, s")
    right.plot(products, [row["peak_memory_mib"] for row in rows], "-o", label="peak memory, MiB")
    right.set(xscale="log", yscale="log", xlabel="products", title="Build time and memory")
    right.legend()
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one(arguments.one)))
        return
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "POLARS_MAX_THREADS": "1"}
    arguments.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    for n in sorted(arguments.products):
        command = [sys.executable, __file__, "--one", str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(f"{n} products: {done.stderr[-2000:] or f'ended by signal {-done.returncode}'}")
        rows.append(json.loads(done.stdout.splitlines()[-1]))
        print(json.dumps(rows[-1]), flush=True)
        (arguments.out / "growth.json").write_text(json.dumps(rows, indent=2) + "\n", "utf-8")
        (arguments.out / "growth.md").write_text(table(rows), "utf-8")
        plot(rows, arguments.out / "growth.png")
    print(table(rows))


if __name__ == "__main__":
    main()
