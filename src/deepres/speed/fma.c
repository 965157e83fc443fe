/* Multiplications and additions as fast as the processor does them: nothing but fused multiply-adds
   on vectors, enough at a time to keep all units busy while each waits for its own result. */

#include <stdint.h>

#if defined(__AVX512F__)
#define BYTES 64
#elif defined(__AVX__)
#define BYTES 32
#else
#define BYTES 16
#endif

#if defined(__AVX512F__) || defined(__aarch64__)
#define CHAINS 24 /* of 32 registers */
#else
#define CHAINS 12 /* of 16 */
#endif

typedef float Vector __attribute__((vector_size(BYTES)));

enum { LANES = BYTES / sizeof(float) };

/* Floating-point operations of a round on one thread. */
int operations(void) { return 2 * CHAINS * LANES; }

/* Take `rounds` rounds on each of `threads` threads; the sum keeps them from being left out. */
float run(int64_t rounds, int threads) {
    float total = 0;
#pragma omp parallel num_threads(threads) reduction(+ : total)
    {
        Vector x[CHAINS], factor = {0}, term = {0};
        factor += 0.999f;
        term += 0.001f;
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++) x[i] = term * (float)i;
        for (int64_t round = 0; round < rounds; round++) {
#pragma GCC unroll 32
            for (int i = 0; i < CHAINS; i++) x[i] = x[i] * factor + term;
        }
#pragma GCC unroll 32
        for (int i = 0; i < CHAINS; i++)
            for (int lane = 0; lane < LANES; lane++) total += x[i][lane];
    }
    return total;
}
