"""Triton's kernels of NanoCodec's decoder. Constants are in capitals: each value of one is compiled anew.

Signals are [streams, time, channels]; a joined signal has the steps of the layer's past before it. Channels
are padded; what is padded stays zero.
"""

import triton
import triton.language as tl

from kani.engines.kani.model.codec.layers import LEAKY_SLOPE

SLOPE = tl.constexpr(LEAKY_SLOPE)

SIZES = "snakes rows time steps row_size offset channels active_steps dilation taps rate outputs share"
"""Arguments that are no constants: Triton would compile a kernel anew where one is 1, or a multiple of 16."""


def kernel(function):
    """Compile a function for a GPU, once for all sizes."""
    code = function.__code__
    names = [name for name in SIZES.split() if name in code.co_varnames[: code.co_argcount]]
    return triton.jit(function, do_not_specialize=names)


@triton.jit
def sine_squared(x):
    """sin²(π·x), to 3e-7: the polynomial that is nearest in half a period.

    The exact sine of CUDA takes longer than a short convolution.
    """
    x -= tl.floor(x + 0.5)
    square = x * x
    y = 13.0501003 - 3.35659289 * square
    y = -30.1014671 + y * square
    y = 42.7271957 + y * square
    y = -32.4696693 + y * square
    return (9.86960411 + y * square) * square


@triton.jit
def half_snake(x, channels, frequency, inverse, snakes):
    """Activate values x of these channels, as ``HalfSnake`` does. frequency: alpha / π."""
    snake = x + tl.load(inverse + channels) * sine_squared(tl.load(frequency + channels) * x)
    return tl.where(channels < snakes, snake, tl.maximum(x, x * SLOPE))


@kernel
def activate(
    x, joined, frequency, inverse, snakes, rows, time, steps, CHANNELS: tl.constexpr, BLOCK: tl.constexpr
):
    """Activate x [streams · time, channels] into joined, after the past's ``steps``."""
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    row, channels = places // CHANNELS, (places % CHANNELS).to(tl.int32)
    live = row < rows
    value = half_snake(tl.load(x + places, mask=live, other=0.0), channels, frequency, inverse, snakes)
    there = (row + (row // time + 1) * steps) * CHANNELS + channels
    tl.store(joined + there, value.to(joined.dtype.element_ty), mask=live)


@kernel
def carry(
    joined,
    state,
    slots,
    row_size,
    offset,
    time,
    channels,
    STEPS: tl.constexpr,
    PADDED: tl.constexpr,
    ROWS: tl.constexpr,  # a power of 2, STEPS at least
    BLOCK: tl.constexpr,
):
    """Put a stream's past before its new steps, and keep the last of both as the next past."""
    stream = tl.program_id(0).to(tl.int64)
    channel = (tl.program_id(1) * BLOCK + tl.arange(0, BLOCK))[None, :]
    step = tl.arange(0, ROWS)[:, None]
    within = (step < STEPS) & (channel < PADDED)
    real = within & (channel < channels)
    past = state + tl.load(slots + stream) * row_size + offset + step * channels + channel
    signal = joined + (stream * (STEPS + time) + step) * PADDED + channel
    before = tl.load(past, mask=real, other=0.0)
    old = tl.load(past + time * channels, mask=real & (step + time < STEPS), other=0.0)
    new = tl.load(signal + time * PADDED, mask=real & (step + time >= STEPS), other=0.0)
    # Other threads of this program may not have read yet what is now written.
    tl.debug_barrier()
    tl.store(signal, before, mask=within)
    tl.store(past, tl.where(step + time < STEPS, old, new), mask=real)


@kernel
def convolve(
    joined,
    weight,
    bias,
    added,
    plain,
    total,
    share,
    active,
    frequency,
    inverse,
    snakes,
    active_steps,
    rows,
    time,
    steps,
    dilation,
    taps,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    ADDED: tl.constexpr,
    PLAIN: tl.constexpr,
    TOTAL: tl.constexpr,
    ACTIVE: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Convolve joined [streams, steps + time, inputs]: y [streams · time, outputs], plus ``added``.

    y is stored as it is (``plain``), its share in a sum (``total``), or activated for the next layer.
    """
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    channels = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    live, inside = row < rows, channels < OUTPUTS
    stream = row // time
    depth = tl.arange(0, DEPTH)
    first = joined + ((row + stream * steps) * INPUTS)[:, None] + depth[None, :]
    matrix = weight + depth[:, None] * OUTPUTS + channels[None, :]
    y = tl.full((ROWS, COLUMNS), 0.0, tl.float32)
    for part in range(taps * (INPUTS // DEPTH)):
        tap, at = part // (INPUTS // DEPTH), part % (INPUTS // DEPTH)
        x = tl.load(first + tap * dilation * INPUTS + at * DEPTH, mask=live[:, None], other=0.0)
        w = tl.load(matrix + part * DEPTH * OUTPUTS, mask=inside[None, :], other=0.0)
        y = tl.dot(x.to(w.dtype), w, y, input_precision="ieee")
    y += tl.load(bias + channels, mask=inside, other=0.0)[None, :]
    mask = live[:, None] & inside[None, :]
    places = (row * OUTPUTS)[:, None] + channels[None, :]
    if ADDED:
        y += tl.load(added + places, mask=mask, other=0.0)
    if PLAIN:
        tl.store(plain + places, y, mask=mask)
    if TOTAL == 1:
        tl.store(total + places, y * share, mask=mask)
    if TOTAL == 2:
        tl.store(total + places, tl.load(total + places, mask=mask, other=0.0) + y * share, mask=mask)
    if ACTIVE:
        known = tl.where(inside, channels, 0)[None, :]
        value = half_snake(y, known, frequency, inverse, snakes)
        there = ((row + (stream + 1) * active_steps) * OUTPUTS)[:, None] + channels[None, :]
        tl.store(active + there, value.to(active.dtype.element_ty), mask=mask)


@kernel
def up_sample(
    joined,
    taps,
    bias,
    up,
    rows,
    time,
    rate,
    outputs,
    INPUTS: tl.constexpr,
    OUTPUTS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Up-sample joined [streams, 1 + time, inputs] to [streams · time · rate, outputs]."""
    places = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    row, channels = places // OUTPUTS, (places % OUTPUTS).to(tl.int32)
    real = (row < rows) & (channels < outputs)
    step, phase = row // rate, (row % rate).to(tl.int32)
    before = joined + (step + step // time) * INPUTS + 2 * channels
    tap = taps + phase * outputs + channels
    size = rate * outputs  # of the taps of one input
    y = tl.load(bias + channels, mask=real, other=0.0)
    for index in tl.static_range(4):  # now and one step before, both channels of the pair
        x = tl.load(before + (1 - index // 2) * INPUTS + index % 2, mask=real, other=0.0)
        y += x.to(tl.float32) * tl.load(tap + index * size, mask=real, other=0.0)
    tl.store(up + places, y, mask=row < rows)
