"""Which pairs there are: to train on, indices 0 .. count - 1; held out, indices far from them."""

HELD_OUT = 2**40  # first index of the held-out range


def shard_range(shard: int, shards: int, count: int, batch: int) -> range:
    """Return the pair indices of shard number `shard` of `shards`: whole batches, as even as they come."""
    batches = -(-count // batch)
    bounds = [min(count, batch * (batches * k // shards)) for k in (shard, shard + 1)]
    return range(*bounds)
