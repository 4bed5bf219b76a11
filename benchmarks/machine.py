"""What the figures were measured on, without a name that only its owner knows."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "faiss-cpu", "pomegranate", "torch", "stepmix",
)  # fmt: skip
# The widest of these is named.
VECTORS = ("avx512f", "avx2", "asimd")


def processor():
    """Name, family and vector instructions of the processor."""
    info = Path("/proc/cpuinfo")
    fields = {}
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            fields.setdefault(name.strip(), value.strip())
    name = fields.get("model name") or platform.processor() or platform.machine()
    if "cpu family" in fields:
        name += f" (family {fields['cpu family']}, model {fields.get('model', '?')})"
    flags = fields.get("flags", fields.get("Features", "")).split()
    vectors = [flag for flag in VECTORS if flag in flags]
    return f"{name} with {vectors[0].upper()}" if vectors else name


def describe():
    """Processor, cores and versions, for the report."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return {"processor": processor(), "cores": os.cpu_count(), "system": platform.system(), "versions": found}
