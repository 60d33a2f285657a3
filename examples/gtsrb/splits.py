"""The split into training and validation, by track.

The 30 frames of a track show one physical sign: a split by image would put near-copies of the
training images into validation. The split is a rule, not a choice: it depends on the tracks alone.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np

SPLIT_SEED = 2011  # the year of the benchmark
FULL_VALIDATION_TRACKS = 147  # of 1,307, the share of the article's 4,410 images
SAMPLE_VALIDATION_SHARE = 0.25


def validation_tracks(tracks, labels, count):
    """Picks `count` tracks for validation, from each class its share and at least one.

    Args:
        tracks: The track of each image.
        labels: The class of each image.
        count: int, how many tracks to pick in all; at least one a class is picked.

    Returns:
        A set of tracks.
    """
    tracks_of = defaultdict(set)
    for track, label in zip(tracks, labels, strict=True):
        tracks_of[int(label)].add(track)
    total = sum(map(len, tracks_of.values()))
    shares = {label: count * len(found) / total for label, found in tracks_of.items()}
    quotas = {label: max(1, int(share)) for label, share in shares.items()}
    # The largest remainders get what rounding down has left.
    by_remainder = sorted(shares, key=lambda label: (quotas[label] - shares[label], label))
    for label in by_remainder[: max(0, count - sum(quotas.values()))]:
        quotas[label] += 1
    rng = np.random.default_rng(SPLIT_SEED)
    picked = set()
    for label in sorted(tracks_of):
        picked.update(rng.permutation(sorted(tracks_of[label]))[: quotas[label]].tolist())
    return picked
