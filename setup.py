"""Put the workflow into the wheel, as `hindsight/share`; everything else about the package is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARED = ("Snakefile", "workflow", "profiles", "config")


class BuildWithWorkflow(build_py):
    """Build the package, and copy the workflow into it unless the install is editable."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if not self.editable_mode:
            self.copy_workflow(Path(self.build_lib) / "hindsight/share")

    def copy_workflow(self, share: Path) -> None:
        """Copy the Snakefile and the folders that it reads."""
        for name in SHARED:
            if Path(name).is_dir():
                shutil.copytree(name, share / name, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                share.mkdir(parents=True, exist_ok=True)
                shutil.copy(name, share / name)


setup(cmdclass={"build_py": BuildWithWorkflow})
