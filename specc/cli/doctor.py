"""`specc doctor`: shows what is installed, the machine's profile, and problems."""

from __future__ import annotations

import json
import os
import platform
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.backend.machine.profile import Profile

# The required packages, and the purpose of each optional one.
NEEDED = (
    "numpy", "numba", "llvmlite", "click", "lark", "rich", "narwhals", "safetensors", "jsonschema",
    "platformdirs",
)  # fmt: skip
OPTIONAL = {
    "matplotlib": "plots as PNG and PDF",
    "pillow": "folders of images",
    "pyarrow": "Parquet files",
    "pandas": "tables from Python",
    "polars": "tables from Python",
    "scikit-learn": "specc.sklearn",
}
VARIABLES = (
    "SPECC_CACHE_DIR",
    "SPECC_COMPILER",
    "SPECC_MACHINE",
    "SPECC_MEASURE",
    "SPECC_VECTOR_BITS",
)


@dataclass(frozen=True)
class Health:
    """The findings of the command; `complaints` has a sentence for each problem."""

    versions: dict[str, str | None]
    optional: dict[str, str | None]
    system: str
    vector_bits: int
    threads: int
    profile: dict[str, Any]
    profile_from: str
    cache_folder: str
    cache_bytes: int
    cached_kernels: int
    variables: dict[str, str]
    complaints: list[str]


@click.command()
@click.option("--measure", is_flag=True, help="Measure the machine again; it should be idle.")
@click.option(
    "--write",
    "target",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the machine's profile to FILE, for use with SPECC_MACHINE=FILE.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def doctor(measure: bool, target: Path | None, as_json: bool) -> int:
    """Show versions, the machine and the cache.

    The compiler plans with the profile: multiply-adds, loads and stores per cycle, caches, and the
    cost of synchronizing threads. It is measured once per machine and kept in the cache folder.
    """
    from specc.backend.machine.here import own_profile, this_profile

    if measure:
        own_profile(anew=True)
    profile = this_profile()
    if target is not None:
        profile.write(target)
    found = examined(profile)
    click.echo(json.dumps(asdict(found), indent=1) if as_json else shown(found), nl=as_json)
    return 1 if found.complaints else 0


def examined(profile: Profile) -> Health:
    """Examine the installation; `profile` is the profile that the compiler plans with."""
    from specc import __version__, driver
    from specc.backend.machine import this_machine
    from specc.system.folders import cache_folder

    folder = Path(cache_folder())
    files = [path for path in folder.rglob("*") if path.is_file()] if folder.is_dir() else []
    versions: dict[str, str | None] = {"specc": __version__, "Python": platform.python_version()}
    versions |= {name: _version(name) for name in NEEDED}
    own_bits, complaints = this_machine(512).vector_bits, []
    complaints += [f"`{name}` is not installed" for name in NEEDED if versions[name] is None]
    if not _is_writable(folder):
        complaints.append(
            f"the cache folder {folder} is not writable, so every start compiles again;"
            " set SPECC_CACHE_DIR to another folder"
        )
    if profile.vector_bits > own_bits:
        complaints.append(
            f"the profile has vectors of {profile.vector_bits} bits, but this processor has"
            f" {own_bits} bits, so programs run slowly"
        )
    return Health(
        versions=versions,
        optional={name: _version(name) for name in OPTIONAL},
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        vector_bits=this_machine().vector_bits,
        threads=driver.processors(),
        profile=profile.record(),
        profile_from=profile.origin or "measured",
        cache_folder=str(folder),
        cache_bytes=sum(path.stat().st_size for path in files),
        cached_kernels=sum(path.suffix == ".o" for path in files),
        variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
        complaints=complaints,
    )


def shown(found: Health) -> str:
    """Return the findings as text."""
    missing = [name for name, version in found.optional.items() if version is None]
    present = [f"{name} {version}" for name, version in found.optional.items() if version]
    needed = [f"{name} {version or 'MISSING'}" for name, version in found.versions.items()]
    record = found.profile
    widths = list(record["products_a_cycle"])

    def by_width(name: str) -> str:
        return ", ".join(f"{record[name][bits]:g}" for bits in widths)

    caches, rates = record["cache_bytes"], record["bytes_a_cycle"]
    memory = [f"{level} {_size(caches[level])} at {rates[level]:g}" for level in caches]
    rows = [
        ("installed", ", ".join(needed)),
        ("optional", ", ".join(present) or "none"),
        *[("not installed", f"{name} (for {OPTIONAL[name]})") for name in missing],
        ("system", found.system),
        ("processor", f"{record['processor']}, {record['gigahertz']:g} GHz"),
        ("vectors", f"{found.vector_bits} bits, {record['registers']} registers"),
        ("threads", str(found.threads)),
        ("profile", found.profile_from),
        (f"per cycle, with {', '.join(widths)} bits", ""),
        ("  multiply-adds", f"{by_width('products_a_cycle')}, latency"
                       f" {record['latency_of_a_product']} cycles"),
        ("  loads", by_width("loads_a_cycle")),
        ("  stores", by_width("stores_a_cycle")),
        *[("  of bfloat16", f"{halves:g}, two in one")
          for halves in [record["bfloat16_products_a_cycle"]] if halves],
        ("bytes per cycle", f"{', '.join(memory)}, memory at {rates['memory']:g};"
                            f" {record['slowness_of_strided_reads']:g} times as long if strided"),
        ("cycles", f"{record['cycles_of_a_line']} for a cache line of another core,"
                   f" {record['cycles_of_a_barrier']} for a barrier of two threads"),
        ("cache folder", f"{found.cache_folder}, {_size(found.cache_bytes)},"
                         f" {found.cached_kernels} kernels"),
        *[(name, value) for name, value in found.variables.items()],
    ]  # fmt: skip
    width = max(len(name) for name, _ in rows) + 2
    lines = []
    for name, text in rows:
        for n, line in enumerate(textwrap.wrap(text, 100 - width) or [""]):
            lines.append(f"{'' if n else name:<{width}}{line}".rstrip())
    lines += [f"\nerror: {each}" for each in found.complaints] or ["\nno problems found"]
    return "\n".join(lines) + "\n"


def _version(name: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _is_writable(folder: Path) -> bool:
    while not folder.exists():
        folder = folder.parent
    return os.access(folder, os.W_OK)


def _size(count: int) -> str:
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count} bytes"
