/* relu(BN(x) + shortcut) in training, forward and backward, in one pass each over memory for the
   sums and one for all the rest.

   Activations are matrices, float32 or bfloat16: rows are pixels, columns channels. All arithmetic
   is float32, but for the joining of sums, which is double. Rows are summed in parts whose size
   depends on the shape alone, and the parts are added up in one order, so that the bits are the
   same each time, for any number of threads.

   Several rows are taken at a time as one row of `width` columns, with each channel's numbers
   repeated: loops are long however few the channels, and have no sum that is carried along, so that
   the compiler makes vectors of them. */

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))

enum { WIDTH = 256, PART = 1 << 14, LEAST_ROWS = 64 };

typedef struct {
    int64_t rows, channels, repeats, width, part_rows, parts;
} Shape;

static Shape shape_of(int64_t rows, int64_t channels) {
    Shape s = {.rows = rows, .channels = channels};
    s.repeats = channels < WIDTH ? WIDTH / channels : 1;
    s.width = s.repeats * channels;
    int64_t wanted = PART / channels > LEAST_ROWS ? PART / channels : LEAST_ROWS;
    s.part_rows = (wanted + s.repeats - 1) / s.repeats * s.repeats;
    s.parts = (rows + s.part_rows - 1) / s.part_rows;
    return s;
}

static int64_t rows_in(const Shape *s, int64_t part) {
    int64_t left = s->rows - part * s->part_rows;
    return left < s->part_rows ? left : s->part_rows;
}

INLINE float load(const void *from, int64_t i, int bf16) {
    if (!bf16) return ((const float *)from)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)from)[i] << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE void store(void *to, int64_t i, float value, int bf16) {
    if (!bf16) {
        ((float *)to)[i] = value;
        return;
    }
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) >> 16; /* to nearest, ties to even */
    ((uint16_t *)to)[i] = value != value ? 0x7fc0 : bits;
}

/* Add up what belongs to a channel in a row of `width` columns. */
static void fold(const Shape *s, const float *wide, float *sums) {
    for (int64_t c = 0; c < s->channels; c++) sums[c] = wide[c];
    for (int64_t j = s->channels; j < s->width; j += s->channels)
        for (int64_t c = 0; c < s->channels; c++) sums[c] += wide[j + c];
}

static void repeat(const Shape *s, float *wide) {
    for (int64_t j = s->channels; j < s->width; j++) wide[j] = wide[j - s->channels];
}

/* Go through a part: i is the element that column j of a row of `width` is. */
#define EACH_ELEMENT(s, part)                                                                    \
    for (int64_t row = (part) * (s)->part_rows * (s)->channels,                                  \
                 end = row + rows_in(s, part) * (s)->channels;                                   \
         row < end; row += (s)->width)                                                           \
        for (int64_t j = 0, i = row, columns = end - row < (s)->width ? end - row : (s)->width;  \
             j < columns; j++, i++)

/* Mean, and sum of squared differences from it, of each channel over a part of the rows. */
INLINE void moments(const Shape *s, int64_t part, const void *x, float *mean, float *m2, int bf16) {
    float wide_mean[s->width], sums[s->width];
    memset(sums, 0, sizeof sums);
    EACH_ELEMENT(s, part) sums[j] += load(x, i, bf16);
    fold(s, sums, wide_mean);
    for (int64_t c = 0; c < s->channels; c++) mean[c] = wide_mean[c] /= rows_in(s, part);
    repeat(s, wide_mean);
    memset(sums, 0, sizeof sums);
    EACH_ELEMENT(s, part) {
        float deviation = load(x, i, bf16) - wide_mean[j];
        sums[j] += deviation * deviation;
    }
    fold(s, sums, m2);
}

INLINE float output(const void *x, const void *shortcut, int64_t i, float scale, float offset,
                    int bf16) {
    float sum = load(x, i, bf16) * scale + offset;
    return shortcut ? sum + load(shortcut, i, bf16) : sum;
}

INLINE void write_outputs(const Shape *s, int64_t part, const void *x, const void *shortcut,
                          const float *restrict scale, const float *restrict offset,
                          void *restrict y, int bf16) {
    EACH_ELEMENT(s, part) {
        float sum = output(x, shortcut, i, scale[j], offset[j], bf16);
        store(y, i, sum <= 0 ? 0 : sum, bf16); /* NaN stays */
    }
}

/* ReLU's gradient: dy where the output was above 0, or NaN. Without y that is computed again. */
INLINE float gradient(const void *x, const void *y, const void *dy, int64_t i, float scale,
                      float offset, int bf16) {
    float out = y ? load(y, i, bf16) : output(x, NULL, i, scale, offset, bf16);
    float dz = load(dy, i, bf16);
    return out <= 0 ? 0 : dz;
}

/* Sum ReLU's gradient dz, and dz times x less its mean, over a part of the rows. */
INLINE void gradient_sums(const Shape *s, int64_t part, const void *x, const void *y,
                          const void *dy, const float *restrict mean, const float *restrict scale,
                          const float *restrict offset, float *sum_dz, float *sum_dzx, int bf16) {
    float dz_sums[s->width], dzx_sums[s->width];
    memset(dz_sums, 0, sizeof dz_sums);
    memset(dzx_sums, 0, sizeof dzx_sums);
    EACH_ELEMENT(s, part) {
        float dz = gradient(x, y, dy, i, scale[j], offset[j], bf16);
        dz_sums[j] += dz;
        dzx_sums[j] += dz * (load(x, i, bf16) - mean[j]);
    }
    fold(s, dz_sums, sum_dz);
    fold(s, dzx_sums, sum_dzx);
}

INLINE void write_gradients(const Shape *s, int64_t part, const void *x, const void *y,
                            const void *dy, const float *restrict mean,
                            const float *restrict scale, const float *restrict offset,
                            const float *restrict slope, const float *restrict level,
                            void *restrict dx, void *restrict dshortcut, int bf16) {
    EACH_ELEMENT(s, part) {
        float dz = gradient(x, y, dy, i, scale[j], offset[j], bf16);
        if (y) store(dshortcut, i, dz, bf16);
        store(dx, i, scale[j] * dz + (load(x, i, bf16) - mean[j]) * slope[j] + level[j], bf16);
    }
}

/* y = relu(BN(x) + shortcut), where `shortcut` may be NULL; BN's averages move. Returns 0, or 1 if
   memory is short. */
int forward(const void *x, const void *shortcut, const float *weight, const float *bias, void *y,
            float *mean, float *rstd, float *running_mean, float *running_var,
            int64_t *batches_tracked, int64_t rows, int64_t channels, double momentum, double eps,
            int bf16, int threads) {
    Shape shape = shape_of(rows, channels), *s = &shape;
    float *work = malloc(sizeof(float) * (2 * s->parts * channels + 2 * s->width));
    if (!work) return 1;
    float *means = work, *m2s = means + s->parts * channels;
    float *scale = m2s + s->parts * channels, *offset = scale + s->width;
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t p = 0; p < s->parts; p++) {
            float *part_mean = means + p * channels, *part_m2 = m2s + p * channels;
            if (bf16) moments(s, p, x, part_mean, part_m2, 1);
            else moments(s, p, x, part_mean, part_m2, 0);
        }
#pragma omp for schedule(static)
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0, m2 = 0;
            for (int64_t p = 0; p < s->parts; p++) sum += means[p * channels + c] * (double)rows_in(s, p);
            double m = sum / rows;
            for (int64_t p = 0; p < s->parts; p++) {
                double deviation = means[p * channels + c] - m;
                m2 += m2s[p * channels + c] + deviation * deviation * rows_in(s, p);
            }
            mean[c] = m;
            rstd[c] = 1 / sqrt(m2 / rows + eps);
            running_mean[c] += momentum * (m - running_mean[c]);
            running_var[c] += momentum * (m2 / (rows - 1) - running_var[c]);
            scale[c] = weight[c] * rstd[c];
            offset[c] = bias[c] - mean[c] * scale[c];
        }
#pragma omp single
        {
            repeat(s, scale);
            repeat(s, offset);
            ++*batches_tracked;
        }
#pragma omp for schedule(static)
        for (int64_t p = 0; p < s->parts; p++) {
            if (bf16 && shortcut) write_outputs(s, p, x, shortcut, scale, offset, y, 1);
            else if (bf16) write_outputs(s, p, x, NULL, scale, offset, y, 1);
            else if (shortcut) write_outputs(s, p, x, shortcut, scale, offset, y, 0);
            else write_outputs(s, p, x, NULL, scale, offset, y, 0);
        }
    }
    free(work);
    return 0;
}

/* All gradients; without a shortcut `y` and `dshortcut` are NULL. Returns 0, or 1 if memory is
   short. */
int backward(const void *x, const void *y, const void *dy, const float *weight, const float *bias,
             const float *mean, const float *rstd, void *dx, void *dshortcut, float *dweight,
             float *dbias, int64_t rows, int64_t channels, int bf16, int threads) {
    Shape shape = shape_of(rows, channels), *s = &shape;
    float *work = malloc(sizeof(float) * (2 * s->parts * channels + 5 * s->width));
    if (!work) return 1;
    float *dzs = work, *dzxs = dzs + s->parts * channels, *wide = dzxs + s->parts * channels;
    float *scale = wide, *offset = scale + s->width, *slope = offset + s->width;
    float *level = slope + s->width, *wide_mean = level + s->width;
    for (int64_t c = 0; c < channels; c++) {
        wide_mean[c] = mean[c];
        scale[c] = weight[c] * rstd[c];
        offset[c] = bias[c] - mean[c] * scale[c];
    }
    repeat(s, wide_mean);
    repeat(s, scale);
    repeat(s, offset);
#pragma omp parallel num_threads(threads)
    {
#pragma omp for schedule(static)
        for (int64_t p = 0; p < s->parts; p++) {
            float *dz = dzs + p * channels, *dzx = dzxs + p * channels;
            if (bf16 && y) gradient_sums(s, p, x, y, dy, wide_mean, scale, offset, dz, dzx, 1);
            else if (bf16) gradient_sums(s, p, x, NULL, dy, wide_mean, scale, offset, dz, dzx, 1);
            else if (y) gradient_sums(s, p, x, y, dy, wide_mean, scale, offset, dz, dzx, 0);
            else gradient_sums(s, p, x, NULL, dy, wide_mean, scale, offset, dz, dzx, 0);
        }
#pragma omp for schedule(static)
        for (int64_t c = 0; c < channels; c++) {
            double dz = 0, dzx = 0;
            for (int64_t p = 0; p < s->parts; p++) {
                dz += dzs[p * channels + c];
                dzx += dzxs[p * channels + c];
            }
            dbias[c] = dz;
            dweight[c] = dzx * rstd[c];
            slope[c] = -(double)scale[c] * rstd[c] * rstd[c] * dzx / rows;
            level[c] = -(double)scale[c] * dz / rows;
        }
#pragma omp single
        {
            repeat(s, slope);
            repeat(s, level);
        }
#pragma omp for schedule(static)
        for (int64_t p = 0; p < s->parts; p++) {
#define WRITE(y, dshortcut, bf16) \
    write_gradients(s, p, x, y, dy, wide_mean, scale, offset, slope, level, dx, dshortcut, bf16)
            if (bf16 && y) WRITE(y, dshortcut, 1);
            else if (bf16) WRITE(NULL, NULL, 1);
            else if (y) WRITE(y, dshortcut, 0);
            else WRITE(NULL, NULL, 0);
        }
    }
    free(work);
    return 0;
}
