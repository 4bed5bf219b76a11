"""The machine's own limits, and the least time that an EM iteration can take within them."""

import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

# Where no compiler can measure them: a Zen 5 core with AVX-512.
USUAL = {"gflops": 120.0, "exp_ns": 0.45, "read_gbytes": 35.0}

# Vectors as long as a register: of longer ones the chains would not stay in registers.
PROBE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#if defined __AVX512F__
enum { BYTES = 64 };
#elif defined __AVX__
enum { BYTES = 32 };
#else
enum { BYTES = 16 };
#endif
enum { LANES = BYTES / 8, CHAINS = 12 };
typedef double lanes __attribute__((vector_size(BYTES)));
typedef long long ints __attribute__((vector_size(BYTES)));
static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + 1e-9 * t.tv_nsec;
}
static inline lanes expv(lanes x) {
    const lanes magic = (lanes){} + 6755399441055744.0;
    lanes shifted = x * 1.4426950408889634 + magic, n = shifted - magic, p;
    lanes r = (x - n * 6.93147180369123816490e-01) - n * 1.90821492927058770002e-10;
    ints bits;
    p = (lanes){} + 1.6059043836821613e-10;
    static const double c[] = {2.08767569878681e-9, 2.505210838544172e-8, 2.755731922398589e-7, 2.7557319223985893e-6,
        2.48015873015873e-5, 1.984126984126984e-4, 1.3888888888888889e-3, 8.333333333333333e-3, 4.1666666666666664e-2,
        1.6666666666666666e-1, 0.5, 1.0, 1.0};
    for (int i = 0; i < 13; i++) p = p * r + c[i];
    __builtin_memcpy(&bits, &shifted, sizeof bits);
    bits <<= 52;
    ints out;
    __builtin_memcpy(&out, &p, sizeof out);
    out += bits;
    __builtin_memcpy(&p, &out, sizeof p);
    return p;
}
/* a function of its own, so that all chains stay in registers; of different values, so that none stands for another */
static __attribute__((noinline)) lanes chains(long n, lanes m, lanes c) {
    lanes a[CHAINS], sum = (lanes){};
    for (int k = 0; k < CHAINS; k++) a[k] = sum + k;
    for (long r = 0; r < n; r++)
        for (int k = 0; k < CHAINS; k++) a[k] = a[k] * m + c;
    for (int k = 0; k < CHAINS; k++) sum += a[k];
    return sum;
}
int main(void) {
    enum { SIZE = 512, BIG = 1 << 25 };
    double best[3] = {1e9, 1e9, 1e9}, sink = 0, begin, took;
    static lanes block[SIZE / LANES];
    double *big = malloc(BIG * sizeof(double));
    for (long i = 0; i < BIG; i++) big[i] = 1.0;
    for (int trial = 0; trial < 7; trial++) {
        begin = now();
        sink += chains(4000000, (lanes){} + (1 - 1e-6), (lanes){} + 1e-7)[0];
        took = (now() - begin) / (4e6 * CHAINS * 2 * LANES) * 1e9;
        if (took < best[0]) best[0] = took;
        for (int i = 0; i < SIZE / LANES; i++) block[i] = (lanes){} - 0.01 * i;
        begin = now();
        for (int r = 0; r < 40000; r++) {
            lanes total = (lanes){};
            for (int i = 0; i < SIZE / LANES; i++) total += expv(block[i]);
            block[r % (SIZE / LANES)] -= total * 1e-12;
        }
        took = (now() - begin) / (40000.0 * SIZE) * 1e9;
        if (took < best[1]) best[1] = took;
        sink += block[0][0];
        lanes s0 = (lanes){}, s1 = s0, s2 = s0, s3 = s0;
        begin = now();
        for (long i = 0; i < BIG; i += 4 * LANES) {
            lanes v[4];
            __builtin_memcpy(v, big + i, sizeof v);
            s0 += v[0]; s1 += v[1]; s2 += v[2]; s3 += v[3];
        }
        took = (now() - begin) / (8.0 * BIG) * 1e9;
        if (took < best[2]) best[2] = took;
        sink += (s0 + s1 + s2 + s3)[0];
    }
    fprintf(stderr, "%g\n", sink);
    printf("%.6g %.6g %.6g\n", 1 / best[0], best[1], 1 / best[2]);
    return 0;
}
"""


def measure():
    """Peak of fused multiply-adds, time of a vector exp, and read bandwidth, of one core; None without a compiler."""
    compiler = shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]) or shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "probe.c"), Path(folder, "probe")
        source.write_text(PROBE, encoding="utf-8")
        flags = ["-O3", "-march=native", "-mprefer-vector-width=512", "-w"]
        for options in (flags, [flag for flag in flags if "prefer" not in flag], ["-O3", "-w"]):
            built = subprocess.run(
                [compiler, *options, str(source), "-o", str(program)], check=False, capture_output=True
            )
            if built.returncode == 0:
                break
        else:
            return None
        printed = subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout
    return dict(zip(USUAL, map(float, printed.split()), strict=True))


def n_features(d, structure):
    """Numbers that a component's score is linear in."""
    return {"full": d * (d + 1) // 2 + d + 1, "tied": d + 1, "diag": 2 * d + 1, "spherical": d + 2}[structure]


def roofline(workload, structure, limits):
    """Seconds of an EM iteration at the machine's limits, of one thread, nothing overlapping.

    4 n K D flops, two for each of D features in the scores and again in the statistics; n K exponentials; one read
    of X.
    """
    n, d, n_components = workload
    flops = 4.0 * n * n_components * n_features(d, structure)
    return (
        flops / (limits["gflops"] * 1e9)
        + n * n_components * limits["exp_ns"] * 1e-9
        + 8.0 * n * d / (limits["read_gbytes"] * 1e9)
    )
