"""Build the compiled modules; everything else about the package stands in pyproject.toml.

Each ``skem/_kernels/*.pyx`` becomes one extension module, and is built again when it, a declaration
(``*.pxd``) or a header (``*.h``) that it reaches has changed. What Cython writes the same into every
module, memoryviews above all, is compiled once, in ``skem._kernels._shared``.

Environment variables:

SKEM_BOUNDS_CHECK=1
    Check every index and every memoryview: slower, for debugging.
SKEM_LINETRACE=1
    Let coverage tools follow the lines of Cython code.
SKEM_ABI3=1
    Build against Python's stable ABI, so that one wheel serves Python 3.11 and every later version.
    Not the default, since the full interface makes calls a little faster. Free-threaded Python up
    to 3.14 has no stable ABI and ignores it.
SKEM_OPENMP=0
    Build without threads even where the compiler has OpenMP.
"""

import multiprocessing
import os
import re
import sys
import sysconfig
import tempfile
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import CompileError, LinkError

KERNELS = Path("skem", "_kernels")
PACKAGE = ".".join(KERNELS.parts)
SHARED = f"{PACKAGE}._shared"

BOUNDS_CHECK = os.environ.get("SKEM_BOUNDS_CHECK") == "1"
LINETRACE = os.environ.get("SKEM_LINETRACE") == "1"
OPENMP = os.environ.get("SKEM_OPENMP") != "0"
ABI3 = os.environ.get("SKEM_ABI3") == "1" and not sysconfig.get_config_var("Py_GIL_DISABLED")

# The only place for directives: one that stands in a .pyx file would win over these switches.
DIRECTIVES = {
    "language_level": 3,
    "boundscheck": BOUNDS_CHECK,
    "wraparound": False,
    "initializedcheck": BOUNDS_CHECK,
    "cdivision": True,
    "freethreading_compatible": True,
    "linetrace": LINETRACE,
}

MACROS = []
if ABI3:
    MACROS.append(("Py_LIMITED_API", "0x030B0000"))
if LINETRACE:
    MACROS.append(("CYTHON_TRACE_NOGIL", "1"))

OPENMP_PROBE = """
#include <omp.h>
int main(void) {
    int n_threads = 0;
    #pragma omp parallel reduction(+ : n_threads)
    n_threads += 1;
    return n_threads == 0 || omp_get_max_threads() < 1;
}
"""


def find_extensions():
    """List one extension for each .pyx file, and the one that they share."""
    sources = {f"{PACKAGE}.{path.stem}": path for path in sorted(KERNELS.glob("*.pyx"))}
    sources[SHARED] = KERNELS / "_shared.c"
    return [
        Extension(
            name=name,
            sources=[source.as_posix()],
            include_dirs=[KERNELS.as_posix()],
            libraries=["m"] if os.name == "posix" else [],
            define_macros=list(MACROS),
            py_limited_api=ABI3,
        )
        for name, source in sources.items()
    ]


def find_headers(paths):
    """List the headers of the package among `paths`, and those that they include."""
    found = {path for path in map(Path, paths) if path.parent == KERNELS}
    left = list(found)
    while left:
        names = re.findall(r'"(\w+\.h)"', left.pop().read_text(encoding="utf-8"))
        new = {KERNELS / name for name in names} - found
        found |= new
        left += new
    return sorted(path.as_posix() for path in found)


def find_openmp(compiler):
    """Return the compile and link flags of OpenMP that work here, or two empty lists.

    Only a compiled and linked program tells: the compiler's name does not, for a system can have
    the compiler without the library (macOS) or the header.
    """
    if not OPENMP:
        return [], []
    if compiler.compiler_type == "msvc":
        candidates = [(["/openmp"], [])]
    elif sys.platform == "darwin":
        # Apple's clang takes the flag for its preprocessor only, other compilers the plain one.
        candidates = [
            (["-Xpreprocessor", "-fopenmp"], ["-lomp"]),
            (["-fopenmp"], ["-fopenmp"]),
        ]
    else:
        candidates = [(["-fopenmp"], ["-fopenmp"])]
    for compile_flags, link_flags in candidates:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "probe.c")
            source.write_text(OPENMP_PROBE, encoding="utf-8")
            try:
                objects = compiler.compile([str(source)], output_dir=folder, extra_postargs=compile_flags)
                compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=link_flags)
            except (CompileError, LinkError):
                continue
        return compile_flags, link_flags
    print("skem: the compiler has no OpenMP; the kernels will use one thread", file=sys.stderr)
    return [], []


class BuildKernels(build_ext):
    """Translate the Cython files, then compile them side by side."""

    def finalize_options(self):
        super().finalize_options()
        self.parallel = self.parallel or os.cpu_count() or 1

    def build_extensions(self):
        # Here and not at import: making an sdist must leave no generated C behind, and only here
        # is the compiler known.
        compile_flags, link_flags = find_openmp(self.compiler)
        if self.compiler.compiler_type != "msvc":
            # -ffp-contract stays at the compiler's default: results are promised equal for any
            # number of threads on one machine, not between machines, so fused multiply-add is
            # welcome.
            # Debug information would take a third of the build's time.
            compile_flags = ["-O3", "-g" if BOUNDS_CHECK else "-g0", *compile_flags]
        for extension in self.extensions:
            extension.extra_compile_args += compile_flags
            extension.extra_link_args += link_flags
        # A switch or a flag leaves no newer file behind, so it is remembered to be compared.
        settings = repr((DIRECTIVES, MACROS, compile_flags, link_flags))
        stamp = Path(self.build_temp, "settings.txt")
        if not stamp.exists() or stamp.read_text(encoding="utf-8") != settings:
            self.force = True
        # Translated before the parallel part: Cython's compiler is not made for threads, but for processes that are
        # forks, as others would read this file again.
        can_fork = multiprocessing.get_start_method() == "fork"
        translated = cythonize(
            self.extensions,
            compiler_directives=DIRECTIVES,
            force=self.force,
            quiet=not self.verbose,
            nthreads=self.parallel if can_fork else 0,
            shared_utility_qualified_name=SHARED,
        )
        for extension, module in zip(self.extensions, translated, strict=True):
            extension.sources = module.sources
            # Cython follows its own imports to the headers, but not from header to header
            extension.depends = find_headers(module.depends)
        super().build_extensions()
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(settings, encoding="utf-8")


setup(
    ext_modules=find_extensions(),
    cmdclass={"build_ext": BuildKernels},
    options={"bdist_wheel": {"py_limited_api": "cp311"}} if ABI3 else {},
)
