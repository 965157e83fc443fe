# mypy: disable-error-code="no-untyped-def,no-untyped-call,untyped-decorator"
"""Triton kernels for the training of §4.2's networks: each 3×3 layer with the BN around it.

A layer's kernel normalises what the layer below left, as it loads it, and leaves its own output
raw, with the moments of a part of it for each program: whoever reads them joins them first, in one
order, so that the bits are the same each time. The backward pass has the same shape. In between,
nothing is launched for BN, ReLU or shortcuts.

Activations are matrices: rows are pixels (N·H·W), columns channels. Maps are square with a side of
a power of 2, and tiles divide them, so that only the border of a map needs a mask.
"""

import triton
import triton.language as tl

NO_SHORTCUT, IDENTITY, OPTION_A = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
"""What is added before ReLU."""


@triton.jit
def batch_norm_kernel_part(
    moments,
    weight,
    bias,
    statistics,
    running_mean,
    running_var,
    batches_tracked,
    rows,
    rows_a_part,
    momentum,
    eps,
    c: tl.constexpr,
    parts: tl.constexpr,
):
    """Join the parts' moments; return BN's factor and summand, and let one program keep them."""
    channel = tl.arange(0, c)
    part = tl.arange(0, parts)
    count = tl.minimum(tl.maximum(rows - part * rows_a_part, 0), rows_a_part).to(tl.float32)
    summed = (count > 0)[:, None]
    at = part[:, None] * c + channel[None, :]
    means = tl.load(moments + at, mask=summed, other=0.0)
    m2 = tl.load(moments + parts * c + at, mask=summed, other=0.0)
    mean = tl.sum(means * count[:, None], 0) / rows
    deviation = means - mean[None, :]
    m2 = tl.sum(m2 + deviation * deviation * count[:, None], 0)
    rstd = 1.0 / tl.sqrt(m2 / rows + eps)
    factor = tl.load(weight + channel) * rstd
    if tl.program_id(0) == 0:
        tl.store(statistics + channel, mean)
        tl.store(statistics + c + channel, rstd)
        tl.store(statistics + 2 * c + channel, factor)
        old = tl.load(running_mean + channel)
        tl.store(running_mean + channel, old + momentum * (mean - old))
        old = tl.load(running_var + channel)
        tl.store(running_var + channel, old + momentum * (m2 / (rows - 1) - old))
        tl.store(batches_tracked, tl.load(batches_tracked) + 1)
    return factor, tl.load(bias + channel) - mean * factor


@triton.jit
def activation(
    raw,
    shortcut,
    factor,
    summand,
    pixel,
    inside,
    side: tl.constexpr,
    c: tl.constexpr,
    adds: tl.constexpr,
):
    """relu(BN(raw) + shortcut) of some pixels, zeros outside the map."""
    channel = tl.arange(0, c)
    at = pixel[:, None] * c + channel[None, :]
    inside = inside[:, None]
    y = tl.load(raw + at, mask=inside, other=0.0).to(tl.float32)
    y = y * factor[None, :] + summand[None, :]
    if adds == IDENTITY:
        y += tl.load(shortcut + at, mask=inside, other=0.0).to(tl.float32)
    if adds == OPTION_A:
        twice = 4 * pixel - 2 * (pixel % side)  # the same place in a map of twice the side
        at = twice[:, None] * (c // 2) + channel[None, :]
        known = inside & (channel < c // 2)[None, :]
        y += tl.load(shortcut + at, mask=known, other=0.0).to(tl.float32)
    y = tl.maximum(y, 0.0, propagate_nan=tl.PropagateNan.ALL)
    return tl.where(inside, y, 0.0).to(raw.dtype.element_ty)


@triton.jit
def forward_kernel(
    below,
    shortcut,
    moments,
    weight,
    bias,
    statistics,
    running_mean,
    running_var,
    batches_tracked,
    below_rows,
    below_rows_a_part,
    momentum,
    eps,
    below_activation,
    filters,
    stride_out,
    stride_in,
    stride_y,
    stride_x,
    raw,
    raw_moments,
    rows,
    rows_a_part,
    is_image: tl.constexpr,
    adds: tl.constexpr,
    side: tl.constexpr,
    stride: tl.constexpr,
    inputs: tl.constexpr,
    c_in: tl.constexpr,
    c_out: tl.constexpr,
    below_parts: tl.constexpr,
    parts: tl.constexpr,
    m: tl.constexpr,
):
    """Activate the layer below (and keep that), convolve, and take the moments of the outcome.

    ``side`` is that of the maps below, of which ``inputs`` channels of ``c_in`` are real. Images
    are taken as they are.
    """
    channel, out_channel = tl.arange(0, c_in), tl.arange(0, c_out)
    if not is_image:
        factor, summand = batch_norm_kernel_part(
            moments,
            weight,
            bias,
            statistics,
            running_mean,
            running_var,
            batches_tracked,
            below_rows,
            below_rows_a_part,
            momentum,
            eps,
            c_in,
            below_parts,
        )
    mean = tl.zeros([c_out], tl.float32)
    m2 = tl.zeros([c_out], tl.float32)
    first = tl.program_id(0) * rows_a_part
    end = tl.minimum(first + rows_a_part, rows)
    for start in range(first, end, m):
        pixel = start + tl.arange(0, m)
        x = pixel % (side // stride)
        y = pixel // (side // stride) % (side // stride)
        centre = stride * (stride * pixel - (stride - 1) * x)  # of the window, in the map below
        if not is_image:
            for i in tl.static_range(stride * stride):  # windows' share of the map
                own = centre + i // stride * side + i % stride
                tile = activation(below, shortcut, factor, summand, own, own >= 0, side, c_in, adds)
                tl.store(below_activation + own[:, None] * c_in + channel[None, :], tile)
        total = tl.zeros([m, c_out], tl.float32)
        for tap in range(9):
            up, left = 1 - tap // 3, 1 - tap % 3
            row, column = stride * y - up, stride * x - left
            inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
            seen = centre - up * side - left
            if is_image:
                at = seen[:, None] * c_in + channel[None, :]
                tile = tl.load(below + at, mask=inside[:, None], other=0.0)
            else:
                tile = activation(below, shortcut, factor, summand, seen, inside, side, c_in, adds)
            at = channel[:, None] * stride_in + out_channel[None, :] * stride_out
            at += tap // 3 * stride_y + tap % 3 * stride_x
            taps = tl.load(filters + at, mask=(channel < inputs)[:, None], other=0.0)
            total = tl.dot(tile, taps, total, input_precision="ieee")
        rounded = total.to(raw.dtype.element_ty)
        tl.store(raw + pixel[:, None] * c_out + out_channel[None, :], rounded)
        total = rounded.to(tl.float32)
        tile_mean = tl.sum(total, 0) / m
        deviation = total - tile_mean[None, :]
        # Chan's rule for joining the moments of two samples
        before = (start - first).to(tl.float32)
        delta = tile_mean - mean
        mean += delta * (m / (before + m))
        m2 += tl.sum(deviation * deviation, 0) + delta * delta * (before * m / (before + m))
    at = tl.program_id(0) * c_out + out_channel
    tl.store(raw_moments + at, mean)
    tl.store(raw_moments + parts * c_out + at, m2)


@triton.jit
def pool_kernel(
    below,
    shortcut,
    moments,
    weight,
    bias,
    statistics,
    running_mean,
    running_var,
    batches_tracked,
    below_rows,
    below_rows_a_part,
    momentum,
    eps,
    below_activation,
    pooled,
    adds: tl.constexpr,
    side: tl.constexpr,
    c: tl.constexpr,
    below_parts: tl.constexpr,
):
    """Activate the last layer (and keep that), and average it over each map."""
    factor, summand = batch_norm_kernel_part(
        moments,
        weight,
        bias,
        statistics,
        running_mean,
        running_var,
        batches_tracked,
        below_rows,
        below_rows_a_part,
        momentum,
        eps,
        c,
        below_parts,
    )
    channel = tl.arange(0, c)
    pixel = tl.program_id(0) * side * side + tl.arange(0, side * side)
    tile = activation(below, shortcut, factor, summand, pixel, pixel >= 0, side, c, adds)
    tl.store(below_activation + pixel[:, None] * c + channel[None, :], tile)
    average = tl.sum(tile.to(tl.float32), 0) / (side * side)
    tl.store(pooled + tl.program_id(0) * c + channel, average)


@triton.jit
def masked_sums(gradient, raw, activated, statistics, dz, at, c: tl.constexpr):
    """Write ReLU's gradient dz; sum it, and it times the normalised output, over a tile."""
    channel = tl.arange(0, c)
    mean, rstd = tl.load(statistics + channel), tl.load(statistics + c + channel)
    stopped = tl.load(activated + at).to(tl.float32) <= 0.0  # NaN is not
    rounded = tl.where(stopped, 0.0, gradient).to(dz.dtype.element_ty)
    tl.store(dz + at, rounded)
    gradient = rounded.to(tl.float32)
    x = (tl.load(raw + at).to(tl.float32) - mean[None, :]) * rstd[None, :]
    return tl.sum(gradient, 0), tl.sum(gradient * x, 0)


@triton.jit
def pool_gradient_kernel(
    pooled_gradient,
    raw,
    activated,
    statistics,
    dz,
    sums,
    rows,
    rows_a_part,
    side: tl.constexpr,
    c: tl.constexpr,
    parts: tl.constexpr,
    m: tl.constexpr,
):
    """From the gradient of the pooled features, that of the last layer before ReLU."""
    channel = tl.arange(0, c)
    sum_dz = tl.zeros([c], tl.float32)
    sum_dzx = tl.zeros([c], tl.float32)
    first = tl.program_id(0) * rows_a_part
    for start in range(first, tl.minimum(first + rows_a_part, rows), m):
        pixel = start + tl.arange(0, m)
        image = pixel // (side * side)
        gradient = tl.load(pooled_gradient + image[:, None] * c + channel[None, :]) / (side * side)
        at = pixel[:, None] * c + channel[None, :]
        tile_dz, tile_dzx = masked_sums(gradient, raw, activated, statistics, dz, at, c)
        sum_dz += tile_dz
        sum_dzx += tile_dzx
    at = tl.program_id(0) * c + channel
    tl.store(sums + at, sum_dz)
    tl.store(sums + parts * c + at, sum_dzx)


@triton.jit
def joined_sums(sums, count, c: tl.constexpr, parts: tl.constexpr):
    """Add the sums of ``count`` parts."""
    part = tl.arange(0, parts)[:, None]
    at = part * c + tl.arange(0, c)[None, :]
    sum_dz = tl.sum(tl.load(sums + at, mask=part < count, other=0.0), 0)
    sum_dzx = tl.sum(tl.load(sums + parts * c + at, mask=part < count, other=0.0), 0)
    return sum_dz, sum_dzx


@triton.jit
def through_batch_norm(sum_dz, sum_dzx, statistics, rows, c: tl.constexpr):
    """Return factors of dz and of the raw output, and a summand: BN's gradient is their sum."""
    channel = tl.arange(0, c)
    mean, rstd = tl.load(statistics + channel), tl.load(statistics + c + channel)
    factor = tl.load(statistics + 2 * c + channel)
    of_raw = -factor * rstd * sum_dzx / rows
    return factor, of_raw, -factor * sum_dz / rows - of_raw * mean


@triton.jit
def input_gradient_kernel(
    dz,
    raw,
    sums,
    count,
    statistics,
    rows,
    filters,
    stride_out,
    stride_in,
    stride_y,
    stride_x,
    shortcut_dz,
    below_raw,
    below_activation,
    below_statistics,
    below_dz,
    below_sums,
    below_rows,
    below_rows_a_part,
    adds: tl.constexpr,
    side: tl.constexpr,
    stride: tl.constexpr,
    c_in: tl.constexpr,
    c_out: tl.constexpr,
    parts: tl.constexpr,
    below_parts: tl.constexpr,
    m: tl.constexpr,
):
    """From the gradient of a layer before ReLU, that of the layer below before its ReLU.

    ``side`` is that of the maps below.
    """
    channel, out_channel = tl.arange(0, c_in), tl.arange(0, c_out)
    sum_dz, sum_dzx = joined_sums(sums, count, c_out, parts)
    of_dz, of_raw, summand = through_batch_norm(sum_dz, sum_dzx, statistics, rows, c_out)
    sum_dz = tl.zeros([c_in], tl.float32)
    sum_dzx = tl.zeros([c_in], tl.float32)
    out_side: tl.constexpr = side // stride
    first = tl.program_id(0) * below_rows_a_part
    for start in range(first, tl.minimum(first + below_rows_a_part, below_rows), m):
        pixel = start + tl.arange(0, m)
        x, y, image = pixel % side, pixel // side % side, pixel // (side * side)
        total = tl.zeros([m, c_in], tl.float32)
        for tap in range(9):
            row, column = y + 1 - tap // 3, x + 1 - tap % 3  # times the stride
            inside = (row >= 0) & (row < side) & (column >= 0) & (column < side)
            if stride == 2:
                inside &= (row % 2 == 0) & (column % 2 == 0)
            seen = (image * out_side + row // stride) * out_side + column // stride
            at = seen[:, None] * c_out + out_channel[None, :]
            tile = tl.load(dz + at, mask=inside[:, None], other=0.0).to(tl.float32)
            tile_raw = tl.load(raw + at, mask=inside[:, None], other=0.0).to(tl.float32)
            tile = tile * of_dz[None, :] + (tile_raw * of_raw[None, :] + summand[None, :])
            tile = tl.where(inside[:, None], tile, 0.0).to(dz.dtype.element_ty)
            at = out_channel[:, None] * stride_out + channel[None, :] * stride_in
            at += tap // 3 * stride_y + tap % 3 * stride_x
            total = tl.dot(tile, tl.load(filters + at), total, input_precision="ieee")
        at = pixel[:, None] * c_in + channel[None, :]
        if adds == IDENTITY:
            total += tl.load(shortcut_dz + at).to(tl.float32)
        if adds == OPTION_A:
            half = (image * out_side + y // 2) * out_side + x // 2
            half_at = half[:, None] * c_out + channel[None, :]
            even = ((x % 2 == 0) & (y % 2 == 0))[:, None]
            total += tl.load(shortcut_dz + half_at, mask=even, other=0.0).to(tl.float32)
        tile_dz, tile_dzx = masked_sums(
            total, below_raw, below_activation, below_statistics, below_dz, at, c_in
        )
        sum_dz += tile_dz
        sum_dzx += tile_dzx
    at = tl.program_id(0) * c_in + channel
    tl.store(below_sums + at, sum_dz)
    tl.store(below_sums + below_parts * c_in + at, sum_dzx)


@triton.jit
def weight_gradient_kernel(
    dz,
    raw,
    sums,
    count,
    statistics,
    rows,
    rows_a_part,
    below_activation,
    below_rows,
    partial,
    partial_stride,
    batch_norm_gradient,
    side: tl.constexpr,
    stride: tl.constexpr,
    c_in: tl.constexpr,
    c_out: tl.constexpr,
    parts: tl.constexpr,
    m: tl.constexpr,
):
    """The gradient of a row of filters over a part of the pixels, for layers of one shape.

    The programs are one for each part, row of the filters and layer.
    """
    layer = tl.program_id(2).to(tl.int64)
    dz += layer * rows * c_out
    raw += layer * rows * c_out
    below_activation += layer * below_rows * c_in
    sums += layer * 2 * parts * c_out
    statistics += layer * 3 * c_out
    partial += layer * 9 * c_in * c_out + tl.program_id(0).to(tl.int64) * partial_stride

    out_channel = tl.arange(0, c_out)
    sum_dz, sum_dzx = joined_sums(sums, count, c_out, parts)
    if (tl.program_id(0) == 0) & (tl.program_id(1) == 0):
        at = layer * 2 * c_out + out_channel
        tl.store(batch_norm_gradient + at, sum_dzx)
        tl.store(batch_norm_gradient + c_out + at, sum_dz)
    of_dz, of_raw, summand = through_batch_norm(sum_dz, sum_dzx, statistics, rows, c_out)

    down = tl.program_id(1) - 1
    element = tl.arange(0, 4 * c_in)  # of three pixels in a row, and a fourth for a power of 2
    right = element // c_in - 1
    total = tl.zeros([4 * c_in, c_out], tl.float32)
    first = tl.program_id(0) * rows_a_part
    for start in range(first, tl.minimum(first + rows_a_part, rows), m):
        pixel = start + tl.arange(0, m)
        x = pixel % (side // stride)
        y = pixel // (side // stride) % (side // stride)
        row, column = stride * y + down, stride * x[None, :] + right[:, None]
        inside = ((row >= 0) & (row < side))[None, :] & (right < 2)[:, None]
        inside &= (column >= 0) & (column < side)
        seen = stride * (stride * pixel - (stride - 1) * x) + down * side - 1
        at = seen[None, :] * c_in + element[:, None]
        window = tl.load(below_activation + at, mask=inside, other=0.0)
        at = pixel[:, None] * c_out + out_channel[None, :]
        tile = tl.load(dz + at).to(tl.float32) * of_dz[None, :]
        tile += tl.load(raw + at).to(tl.float32) * of_raw[None, :] + summand[None, :]
        tile = tile.to(dz.dtype.element_ty)
        total = tl.dot(window, tile, total, input_precision="ieee")
    at = out_channel[None, :] * (9 * c_in) + tl.program_id(1) * 3 * c_in + element[:, None]
    tl.store(partial + at, total, mask=(right < 2)[:, None])
