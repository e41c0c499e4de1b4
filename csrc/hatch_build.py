"""The build hook: compiles the C library into the package before a wheel is packed.

Where there is no compiler or no make, the package is built without the library and says so: the
reference works, and the judging of Python functions. The wheel is the platform's all the same: one
without a library must not pass for a wheel of every platform.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class KernelsHook(BuildHookInterface[Any]):
    """Runs `make lib` and names the platform, not the Python, that the wheel is for."""

    # The interface passes a version that says only whether the wheel is an editable one.
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the library for a wheel, editable or not; a source distribution needs none."""
        if self.target_name != "wheel":
            return
        tools = {"C compiler": os.environ.get("CC", "cc").split()[0], "make": "make"}
        missing = [name for name, tool in tools.items() if shutil.which(tool) is None]
        if missing:
            self.app.display_warning(
                f"softjac: found no {' and no '.join(missing)}: installing without the kernels "
                "(softjac.native) and without the sandbox for C. Install them, then softjac again "
                "with pip's --no-cache-dir --force-reinstall."
            )
        else:
            subprocess.run(
                ["make", "--silent", "lib", f"SOFTJAC_PYTHON={sys.executable}"],
                cwd=self.root,
                check=True,
            )
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform}"
