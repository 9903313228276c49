"""How many settings fit on the devices at once, by what XLA plans to allocate."""

import jax
import numpy as np

from mrm_jax import input_pipeline, members, parallel
from mrm_jax.models import mrm_net


def largest(
    model: mrm_net.MRMNet,
    feed: input_pipeline.Feed,
    batch_size: int,
    at_most: int,
    way: str | None = None,
) -> int:
    """Returns how many places a population can have on all devices together.

    On the CPU the number of devices: there settings train one after another, so that
    more at once end no sooner. Elsewhere what fits beside the records, which lie there
    already: the training step is compiled for one and for two settings a device, the
    number follows from the difference, and is compiled and checked in its turn.

    Args:
        model: of all settings.
        feed: the training split, on the devices already.
        batch_size: of each setting.
        at_most: places that can be used.
        way: as `population.Population` takes it.

    Raises:
        ValueError: if not even one setting a device fits.
    """
    devices = parallel.device_count()
    if not parallel.rolls_loops():
        return max(1, min(devices, at_most))
    limit = parallel.free_bytes()
    needs = [call_bytes(model, feed, batch_size, slots, way) for slots in (1, 2)]
    if needs[0] > limit:
        raise ValueError(
            f"one setting needs {needs[0] / 2**30:.1f} GiB of a device beside the "
            f"records, free are {limit / 2**30:.1f}: take a smaller batch_size"
        )
    each = max(1, needs[1] - needs[0])
    slots = min(1 + int((limit - needs[0]) // each), -(-at_most // devices))
    while slots > 1 and call_bytes(model, feed, batch_size, slots, way) > limit:
        slots -= 1
    return min(slots * devices, at_most)


def call_bytes(
    model: mrm_net.MRMNet,
    feed: input_pipeline.Feed,
    batch_size: int,
    slots: int,
    way: str | None = None,
) -> int:
    """Returns the bytes of a device that training takes, without resident records.

    Args:
        model: of all settings.
        feed: the training split.
        batch_size: of each setting.
        slots: settings on a device.
        way: as `population.Population` takes it.
    """
    way = members.checked_way(way)
    model, devices = model.clone(axis_name=None), parallel.device_count()
    together = 1 if way == "unrolled" else slots
    rows = input_pipeline.ordered_rows(len(feed), batch_size)
    steps = feed.steps_per_call(np.tile(rows, (1, together)))
    shares = np.broadcast_to(rows[:steps], (devices, together, steps, batch_size))
    records, named = feed.records(shares)
    some = jax.tree.map(
        lambda x: np.broadcast_to(x, (devices, *x.shape)),
        members.empty(model, together),
    )
    arguments = jax.eval_shape(lambda *given: given, some, records, named)
    plan = members.train_mapped(model, way).lower(*arguments).compile()
    planned = plan.memory_analysis()
    state = sum(
        x.size * x.dtype.itemsize for x in jax.tree.leaves(members.empty(model, 1))
    )
    resident = feed.signal_bytes() if feed.resident else 0
    needed = planned.temp_size_in_bytes + planned.argument_size_in_bytes - resident
    needed += planned.output_size_in_bytes - planned.alias_size_in_bytes
    return needed + (slots - together) * state
