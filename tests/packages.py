"""Installed distributions that hold nothing but weights."""

from pathlib import Path

import torch


def install(monkeypatch, site, package, file, weights, version="0.1.0"):
    """Install a distribution that ships one file of torch.save, and whose code fails when it is imported."""
    (site / file).parent.mkdir(parents=True)
    torch.save(weights, site / file)
    code = f"{Path(file).parts[0]}/__init__.py"
    (site / code).write_text("raise AssertionError('the code of a package of weights is run')\n")
    metadata = site / f"{package.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n")
    (metadata / "RECORD").write_text(f"{code},,\n{file},,\n")
    monkeypatch.syspath_prepend(site)
    return site / file
