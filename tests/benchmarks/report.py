"""The page of a run, from its JSON."""

import numpy as np

from tests.benchmarks.cases import LAYER_SHAPE, MEMORY_SHAPE, TASKS
from tests.benchmarks.timing import geometric_mean

NATIVE = ("torch", "torch F.affine_grid + F.grid_sample")
COMPILED = ("jax jit", "tensorflow XLA")

HEADER = """# Benchmarks{where}

Written by `{command}` (extra `benchmark`), from the JSON file beside it.
Bilinear, `fill_mode="constant"`, `align_corners=True`, float32; affine thetas that zoom in a
little, turn and shift. Each function is called twice in turn with the others of its process, and
the second call is timed, 5 to 15 rounds, in two processes. Ratios are **theirs / ours**, above 1
where we are faster: the median over rounds, and the geometric mean over shapes in the last column.
"d theta" is the gradient to theta, "d theta + image" the gradient to both.
Every peer gets the same images; what a peer cannot do is left out. [Performance](performance.md)
tells why the numbers are what they are.
"""


def markdown(results):
    """The page."""
    rows = merged(results["speed"])
    where = f" on {results['accelerators']}" if results["accelerators"] else ""
    parts = [HEADER.format(where=where, command=results["command"])]
    parts.append(f"Machine: {results['machine']}.\n")
    parts.append(", ".join(f"{name} {v}" for name, v in results["versions"].items()) + ".\n")
    parts += ["## Ratios\n", ratio_table(rows)]
    modes = {mode for mode, _ in contestants(rows)}
    if NATIVE in contestants(rows) and modes.intersection(COMPILED):
        parts.append("## Against torch's native kernel\n")
        parts.append(
            "What XLA compiles against `F.affine_grid` + `F.grid_sample` on the same machine, in "
            "processes run in turn: torch's median milliseconds over ours.\n"
        )
        parts.append(native_table(rows))
    parts += ["## Milliseconds\n", time_table(rows)]
    if "/".join(NATIVE) in results["memory"]:
        parts += ["## Memory\n", memory_table(results["memory"])]
    parts += ["## The layer\n", layer_table(results["layer"])]
    return "\n".join(parts)


def merged(runs):
    """{(mode, name, task, shape): the medians of both processes}."""
    found = {}
    for run in runs:
        for row in run:
            key = (row["mode"], row["name"], row["task"], row["shape"])
            found.setdefault(key, []).append(row)
    return {
        key: {
            field: float(np.median([row[field] for row in rows]))
            for field in ("ms", "iqr", "ratio", "low", "high")
            if field in rows[0]
        }
        for key, rows in found.items()
    }


def table(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def shapes(rows):
    """The names of the shapes measured, in their order."""
    return list(dict.fromkeys(shape for *_, shape in rows))


def contestants(rows):
    """(mode, name) in the order measured."""
    return list(dict.fromkeys((mode, name) for mode, name, _, _ in rows))


def ratio_table(rows):
    """Theirs over ours, one line a peer and task."""
    lines = []
    for mode, name in contestants(rows):
        for task in TASKS:
            found = [rows.get((mode, name, task, shape)) for shape in shapes(rows)]
            if name == "ours" or not any(found):
                continue
            cells = [
                f"{row['ratio']:.2f} ({row['low']:.2f}-{row['high']:.2f})" if row else ""
                for row in found
            ]
            mean = geometric_mean([row["ratio"] for row in found if row])
            lines.append([mode, name, task, *cells, f"**{mean:.2f}**"])
    return table(["backend", "peer", "task", *shapes(rows), "mean"], lines)


def native_table(rows):
    """torch's kernel over ours on the XLA backends."""
    lines = []
    for mode in [mode for mode in COMPILED if (mode, "ours") in contestants(rows)]:
        for task in TASKS:
            ratios = [
                rows[(*NATIVE, task, shape)]["ms"] / rows[(mode, "ours", task, shape)]["ms"]
                for shape in shapes(rows)
            ]
            cells = [f"{ratio:.2f}" for ratio in ratios]
            lines.append([mode, task, *cells, f"**{geometric_mean(ratios):.2f}**"])
    return table(["backend", "task", *shapes(rows), "mean"], lines)


def milliseconds(row):
    """Median and interquartile range."""
    digits = 1 if row["ms"] >= 1 else 2
    return f"{row['ms']:.{digits}f} ± {row['iqr']:.{digits}f}"


def time_table(rows):
    """Milliseconds: median and interquartile range."""
    lines = []
    for mode, name in contestants(rows):
        for task in TASKS:
            found = [rows.get((mode, name, task, shape)) for shape in shapes(rows)]
            if any(found):
                cells = [milliseconds(row) if row else "" for row in found]
                lines.append([mode, name, task, *cells])
    return table(["backend", "who", "task", *shapes(rows)], lines)


def memory_table(memory):
    """MiB of the full gradient, and how many times torch's."""
    native = memory["/".join(NATIVE)]
    lines = [[who, f"{mib:.0f}", f"{mib / native:.2f}"] for who, mib in memory.items()]
    note = (
        f"How far the process grows during the gradient to theta and images at {MEMORY_SHAPE}, "
        "after a first call has compiled it. TensorFlow keeps the memory that it frees: this does "
        "not measure it.\n\n"
    )
    return note + table(["who", "MiB", "times torch's"], lines)


def layer_table(layer):
    """What `SpatialTransformer` adds to its operations."""
    note = (
        f"`SpatialTransformer` over the same operations called by hand, at {LAYER_SHAPE}, forward, "
        "with a pooling layer as localization network.\n\n"
    )
    lines = [
        [name, f"{row['ratio']:.2f} ({row['low']:.2f}-{row['high']:.2f})"]
        for name, row in layer.items()
    ]
    return note + table(["backend", "layer / operations"], lines)
