"""Builds the compiled kernels; everything else is in pyproject.toml.

One source is translated once per data dtype and compiled once per CPU level: the same bits at
every level, since lanes, blocks and merging order are fixed in the source and contraction to FMA is
off. A level that the compiler or the machine cannot build is left out; without OpenMP the kernels
run on one thread, and `cybn.show_config()` says so.

A wheel is built against CPython's stable ABI, so that one serves every CPython from 3.11 on. A
build in place or for an editable install is for one version: its calls cost less (docs/wheels.md).
What belongs to a build is done in `BuildKernels`, not when this file is read, so that a source
distribution and metadata need no compiled C.

Environment:
    CYBN_DEBUG=1    bounds checks, asserts and no optimization, in every level
    CYBN_ABI3=0     a wheel for the version of Python that builds it
"""

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py


def switch(variable: str, otherwise: str) -> bool:
    value = os.environ.get(variable) or otherwise
    if value not in ("0", "1"):
        raise SystemExit(f"cybn: {variable} is 0 or 1, got {value!r}")
    return value == "1"


DEBUG = switch("CYBN_DEBUG", "0")
X86_64 = platform.machine().lower() in ("x86_64", "amd64")
MSVC = sys.platform == "win32"

# The oldest CPython whose stable ABI has the buffer protocol. Free-threaded builds have none.
STABLE_ABI = (3, 11)
ABI3 = (
    switch("CYBN_ABI3", "1")
    and platform.python_implementation() == "CPython"
    and not sysconfig.get_config_var("Py_GIL_DISABLED")
)

# CPU level: flags for (gcc and clang, MSVC)
LEVELS = {"baseline": ([], [])}
if X86_64:
    LEVELS["x86_64_v3"] = (["-march=x86-64-v3"], ["/arch:AVX2"])
VIEWS = "cybn.kernels._views"  # what Cython needs for memoryviews: once, and not in each module
DTYPES = ("float32", "float64", "bfloat16", "float16")  # of data
# Where a level is for few, the kernels for float32 take float16 too (kernels/widened.py). MSVC's
# builds do not ask the CPU for another level.
WIDENED = {("baseline", "float16")} if len(LEVELS) > 1 and not MSVC else set()

DIRECTIVES = {
    "language_level": 3,
    "boundscheck": DEBUG,
    "wraparound": False,
    "initializedcheck": DEBUG,
    "cdivision": True,
    "binding": False,
    "embedsignature": True,
    "auto_pickle": False,
}
if MSVC:
    FLAGS = ["/Od"] if DEBUG else ["/O2", "/fp:precise"]
    OPENMP = (["/openmp"], [])
else:
    FLAGS = ["-O1", "-g"] if DEBUG else ["-O3", "-g0"]
    # Unroll-and-jam of gcc would keep the partial sums in memory instead of in registers.
    FLAGS += ["-fno-loop-unroll-and-jam", "-fno-tree-loop-distribute-patterns"]
    # Nobody reads errno or the flags of floating point exceptions: square roots and choices between
    # two values become vectors. Neither changes a result.
    FLAGS += ["-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"]
    # gcc does not see that both ends of a row are written under the condition they are read under.
    FLAGS += ["-Wno-unused-function", "-Wno-sign-compare", "-Wno-maybe-uninitialized"]
    if not DEBUG:
        # What makes code larger and no loop quicker: copies of functions for some arguments and of
        # loops for some conditions, inlining that the source does not ask for, tables to unwind.
        FLAGS += ["-fno-ipa-cp-clone", "-fno-unswitch-loops", "-fno-inline-functions"]
        FLAGS += ["-fno-asynchronous-unwind-tables"]
    if sys.platform == "darwin":
        OPENMP = (["-Xpreprocessor", "-fopenmp"], ["-lomp"])
    else:
        OPENMP = (["-fopenmp"], ["-fopenmp"])

# gcc's loops are as quick as those of -O3, and smaller: less is inlined that the source does not
# ask for. -fpeel-loops unrolls those of a constant trip count, without which the partial sums would
# lie in memory.
LEAN = ["-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-fpeel-loops"]
# Half as large a function is inlined, and what is left after the vectors has no smaller vectors.
LEAN += ["--param=max-inline-insns-single=30", "--param=vect-epilogues-nomask=0"]
# Today's CPUs order instructions themselves, and loops need no padding before them.
LEAN += ["-fno-schedule-insns2", "-fno-align-loops", "-fno-align-jumps", "-fno-align-labels"]
# Copies of code for some of the ways to it make no loop quicker.
LEAN += ["-fno-thread-jumps", "--param=max-jump-thread-duplication-stmts=0", "-fno-tree-pre"]
# Unrolled is what has a known number of steps, and not the few items that are left after vectors.
LEAN += ["--param=max-peel-branches=4"]
# Partial sums are eight vectors of AVX2 at the most.
LEAN_V3 = ["--param=max-completely-peel-times=8"]
# What has no loops over data, and is not part of every call, is compiled for size. So is the
# baseline where there is a level above it, since it is for few and all have to download it: but for
# its loops (loops/machine.pxi), which are vectors where a strip or the lanes are whole ones. Loops
# over lanes are not unrolled, so that partial sums lie in memory.
SMALL = ["-Os", "-Wno-attributes"]  # a pointer to a loop needs not what it is given
SMALL_LOOPS = ["--param=max-completely-peel-times=4"]
OF_NO_LOOPS = ("_machine", "_running", "_memory")
QUICK = '__attribute__((optimize("O2","tree-vectorize","vect-cost-model=very-cheap","peel-loops")))'
# A wheel does without the names of what is inside.
STRIPPED = ["-Wl,-s"] if sys.platform == "linux" and not DEBUG else []

NO_COMPILER = """
cybn: building needs a C compiler and the headers of Python {version}, and this did not compile:
    {reason}
To get them:
    Debian, Ubuntu  apt install build-essential python3-dev
    Fedora, RHEL    dnf install gcc python3-devel
    Alpine          apk add build-base python3-dev
    macOS           xcode-select --install
    Windows         Visual Studio Build Tools, workload "Desktop development with C++":
                    https://visualstudio.microsoft.com/visual-cpp-build-tools/
A compiler of another name is given as in CC=clang pip install .
"""


class BuildKernels(build_ext):
    """build_ext that translates to C, picks the ABI, and goes on without OpenMP, but not without
    a compiler."""

    def finalize_options(self):
        super().finalize_options()
        self.abi3 = ABI3 and not (self.inplace or self.editable_mode)
        for extension in self.extensions:
            extension.py_limited_api = self.abi3

    def build_extensions(self):
        self._need_compiler()  # first, since translating takes longer than anybody wants to wait
        self.parallel = self.parallel or os.cpu_count()
        in_c = self._translate()
        openmp = OPENMP if self._links_openmp() else ([], [])
        if openmp is not OPENMP:
            print("cybn: this compiler has no OpenMP; the kernels will run on one thread")
        lean = LEAN if not DEBUG and self._is_gcc() else []
        for extension in self.extensions:
            self._take_c(extension, in_c[extension.sources[0]])
            extension.extra_compile_args += lean + openmp[0]
            if lean and "_x86_64_v3" in extension.name:
                extension.extra_compile_args += LEAN_V3
            elif lean and extension.name.endswith(OF_NO_LOOPS):
                extension.extra_compile_args += SMALL
            elif lean and "_baseline" in extension.name and len(LEVELS) > 1:
                extension.extra_compile_args += SMALL + SMALL_LOOPS
                extension.define_macros.append(("CYBN_QUICK", QUICK))
            extension.extra_link_args += openmp[1]
            if self.abi3:
                extension.extra_link_args += STRIPPED
                version = f"0x{STABLE_ABI[0]:02X}{STABLE_ABI[1]:02X}0000"
                extension.define_macros.append(("Py_LIMITED_API", version))
            extension.optional = "_x86_64_v" in extension.name  # a level unknown to old compilers
            self._remove_other_builds(extension)
        super().build_extensions()

    def _translate(self) -> dict[str, str]:
        """The C of each source, which several extensions may have."""
        sources = {e.sources[0]: e for e in self.extensions}
        modules = [
            Extension(".".join(Path(source).with_suffix("").parts[1:]), [source], depends=e.depends)
            for source, e in sources.items()
        ]
        translated = cythonize(
            modules,
            nthreads=self.parallel if len(modules) > 1 else 0,
            compiler_directives=DIRECTIVES,
            include_path=["src"],
            build_dir="build/debug" if DEBUG else "build",  # C with and without the checks
            shared_utility_qualified_name=VIEWS,
        )
        return {
            source: module.sources[0] for source, module in zip(sources, translated, strict=True)
        }

    @staticmethod
    def _take_c(extension: Extension, in_c: str):
        """Compile that C, under the name of the extension, which may be of a CPU level."""
        name, of = extension.name.rpartition(".")[2], Path(in_c).stem
        extension.sources = [in_c]
        if name != of:
            named = Path(in_c).with_stem(name)
            code = f'#define PyInit_{of} PyInit_{name}\n#include "{of}.c"\n'
            if not named.exists() or named.read_text() != code:
                named.write_text(code)
            extension.sources, extension.depends = [str(named)], [*extension.depends, in_c]

    def _remove_other_builds(self, extension: Extension):
        """What a build for the other ABI left would go into the wheel, and be imported first."""
        target = Path(self.get_ext_fullpath(extension.name))
        for other in target.parent.glob(f"{target.name.partition('.')[0]}.*{target.suffix}"):
            if other != target:
                other.unlink()

    def _need_compiler(self):
        try:
            self._compile("compiler_probe", "#include <Python.h>\nint probe(void) { return 0; }\n")
        except Exception as error:  # each compiler class has an error of its own
            version = f"{sys.version_info.major}.{sys.version_info.minor}"
            raise SystemExit(NO_COMPILER.format(version=version, reason=error)) from None

    def _is_gcc(self) -> bool:
        code = "#if !defined(__GNUC__) || defined(__clang__)\n#error\n#endif\nint gcc;\n"
        try:
            self._compile("gcc_probe", code, LEAN)
        except Exception:
            return False
        return True

    def _links_openmp(self) -> bool:
        code = "#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n"
        try:
            objects = self._compile("openmp_probe", code, OPENMP[0])
            self.compiler.link_executable(
                objects, os.path.join(self.build_temp, "openmp_probe"), extra_postargs=OPENMP[1]
            )
        except Exception:
            return False
        return True

    def _compile(self, name: str, code: str, flags: Sequence[str] = ()) -> list[str]:
        os.makedirs(self.build_temp, exist_ok=True)
        source = os.path.join(self.build_temp, f"{name}.c")
        with open(source, "w") as file:
            file.write(code)
        return self.compiler.compile(
            [source], output_dir=self.build_temp, extra_postargs=list(flags)
        )


class BuildModules(build_py):
    """build_py that packs the example plugins, of which `cybn new` makes projects."""

    def run(self):
        super().run()
        if self.editable_mode:
            return  # they are found where they are
        leftovers = shutil.ignore_patterns(
            "__pycache__", ".*", "build", "dist", "*.egg-info", "*.c", "*.so", "*.pyd"
        )
        for example in Path("examples").glob("plugin_*"):
            kind = example.name.removeprefix("plugin_")
            packed = Path(self.build_lib, "cybn", "command", "templates", kind)
            shutil.rmtree(packed, ignore_errors=True)
            shutil.copytree(example, packed, ignore=leftovers)


def kernels() -> list[Extension]:
    sources = "src/cybn/kernels"
    folders = map(Path, (sources, "src/cybn/loops", "src/cybn/functional", "src/cybn/torch"))
    shared = sorted(str(path) for folder in folders for path in folder.glob("*.pxi"))
    macros = [] if DEBUG else [("CYTHON_WITHOUT_ASSERTIONS", "1")]
    of_no_level = (
        "kernels._machine", "kernels._running", "arrays._looks", "arrays._memory",
        "functional._checked", "functional._maps", "torch._calls",
    )  # fmt: skip
    once = [
        Extension(
            f"cybn.{name}",
            [f"src/cybn/{name.replace('.', '/')}.pyx"],
            depends=shared,
            extra_compile_args=list(FLAGS),
            define_macros=list(macros),
        )
        for name in of_no_level
    ]
    views = Extension(
        VIEWS, [f"{sources}/_views.c"], extra_compile_args=list(FLAGS), define_macros=list(macros)
    )
    # What takes longest first, so that the last to end are short.
    return [
        Extension(
            f"cybn.kernels._{level}_{dtype}",
            [f"{sources}/_{dtype}.pyx"],
            depends=[*shared, "src/cybn/primitives.pxd"],
            extra_compile_args=FLAGS + flags[MSVC],
            define_macros=list(macros),
        )
        for level, flags in reversed(LEVELS.items())
        for dtype in DTYPES
        if (level, dtype) not in WIDENED
    ] + [views, *once]


if __name__ == "__main__":  # and not in a process that translates
    setup(
        ext_modules=kernels(),
        cmdclass={"build_ext": BuildKernels, "build_py": BuildModules},
        options={"bdist_wheel": {"py_limited_api": "cp{}{}".format(*STABLE_ABI)}} if ABI3 else {},
    )
