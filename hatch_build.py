"""Build hook: compiles the scoring kernel, so that a wheel runs where there is no compiler.

The compiler is zig's, which comes as a Python package: the same one everywhere, and no prerequisite. It builds
for the oldest processor and C library of the platform, so that the wheel is not tied to the builder's machine.
"""

import os
import platform
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("user_analytics/sentiment/kernel.c")
LIBRARY = SOURCE.with_name("_kernel.so")
GLIBC = "2.28"  # that of Debian 10


class KernelHook(BuildHookInterface[Any]):
    """Adds the compiled kernel to the wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Compile, then tell hatchling that the wheel holds for one platform and any Python."""
        root = Path(self.root)
        compile_library(root / SOURCE, root / LIBRARY)
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
        build_data["artifacts"].append(f"/{LIBRARY}")


def compile_library(source: Path, library: Path) -> None:
    """Build a C file into a shared library."""
    target = ["-target", f"{platform.machine()}-linux-gnu.{GLIBC}"] if platform.libc_ver()[0] == "glibc" else []
    with tempfile.TemporaryDirectory() as cache:
        subprocess.run(  # noqa: S603
            [
                *(sys.executable, "-m", "ziglang", "cc", *target, "-mcpu=baseline"),
                *("-std=c11", "-O2", "-shared", "-fPIC", "-Wall", "-Wextra", "-Werror"),
                *("-o", str(library), str(source), "-lm"),
            ],
            env={**os.environ, "ZIG_LOCAL_CACHE_DIR": cache},
            check=True,
        )
