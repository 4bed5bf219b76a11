"""The machine's own limits, and the least time that an EM iteration can take within them."""

import shutil
import subprocess
import sysconfig
import tempfile
from pathlib import Path

# Where no compiler can measure them: a Zen 5 core with AVX-512.
USUAL = {"gflops": 120.0, "exp_ns": 0.45, "read_gbytes": 35.0}

# Eight-lane vectors whatever the machine: the compiler splits them where registers are shorter.
PROBE = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
typedef double lanes __attribute__((vector_size(64)));
typedef long long ints __attribute__((vector_size(64)));
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
int main(void) {
    enum { A = 12, SIZE = 512, BIG = 1 << 25 };
    double best[3] = {1e9, 1e9, 1e9}, sink = 0, begin, took;
    static lanes block[SIZE / 8];
    double *big = malloc(BIG * sizeof(double));
    for (long i = 0; i < BIG; i++) big[i] = 1.0;
    for (int trial = 0; trial < 7; trial++) {
        /* different values, for no chain to be computed in another's place */
        lanes a0 = (lanes){} + 1, a1 = a0 + 1, a2 = a0 + 2, a3 = a0 + 3, a4 = a0 + 4, a5 = a0 + 5, a6 = a0 + 6,
              a7 = a0 + 7, a8 = a0 + 8, a9 = a0 + 9, aa = a0 + 10, ab = a0 + 11, m = a0 - 1e-6, c = a0 * 1e-7;
        begin = now();
        for (int r = 0; r < 4000000; r++) {
            a0 = a0 * m + c; a1 = a1 * m + c; a2 = a2 * m + c; a3 = a3 * m + c; a4 = a4 * m + c; a5 = a5 * m + c;
            a6 = a6 * m + c; a7 = a7 * m + c; a8 = a8 * m + c; a9 = a9 * m + c; aa = aa * m + c; ab = ab * m + c;
        }
        took = (now() - begin) / (4e6 * A * 16) * 1e9;
        if (took < best[0]) best[0] = took;
        sink += (a0 + a1 + a2 + a3 + a4 + a5 + a6 + a7 + a8 + a9 + aa + ab)[0];
        for (int i = 0; i < SIZE / 8; i++) block[i] = (lanes){} - 0.01 * i;
        begin = now();
        for (int r = 0; r < 40000; r++) {
            lanes total = (lanes){};
            for (int i = 0; i < SIZE / 8; i++) total += expv(block[i]);
            block[r % (SIZE / 8)] -= total * 1e-12;
        }
        took = (now() - begin) / (40000.0 * SIZE) * 1e9;
        if (took < best[1]) best[1] = took;
        sink += block[0][0];
        lanes s0 = (lanes){}, s1 = s0, s2 = s0, s3 = s0;
        begin = now();
        for (long i = 0; i < BIG; i += 32) {
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
