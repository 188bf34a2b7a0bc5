"""Compiles the kernels; everything else is in pyproject.toml."""

import sys

from Cython.Build import cythonize
from setuptools import Extension, setup

# Without contraction to FMA, and with the order of additions as it is written, results are the same
# bits on every CPU. The two -fno-loop flags keep gcc from moving partial sums out of registers.
if sys.platform == "win32":
    flags, openmp = ["/O2", "/fp:precise"], ["/openmp"]
else:
    flags = ["-O3", "-ffp-contract=off", "-fno-math-errno"]
    flags += ["-fno-loop-unroll-and-jam", "-fno-tree-loop-distribute-patterns"]
    flags += ["-Wno-unused-function", "-Wno-sign-compare"]
    openmp = [] if sys.platform == "darwin" else ["-fopenmp"]  # Apple's compiler has none

setup(
    ext_modules=cythonize(
        Extension(
            "cybn_fast_part_norm._kernels",
            ["src/cybn_fast_part_norm/_kernels.pyx"],
            extra_compile_args=[*flags, *openmp],
            extra_link_args=[] if sys.platform == "win32" else openmp,
            define_macros=[("Py_LIMITED_API", "0x030B0000")],
            py_limited_api=True,
        ),
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "initializedcheck": False,
            "cdivision": True,
        },
        build_dir="build",
    ),
    options={"bdist_wheel": {"py_limited_api": "cp311"}},  # one wheel for CPython 3.11 and later
)
