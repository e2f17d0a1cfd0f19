"""The catalog of autoencoders."""

import re
import subprocess
import sys

import pytest
from equidiff_sae.catalog import default_for, entries, find_entry, listing

from equidiff.errors import UnknownNameError


def test_all_published_autoencoders_are_listed():
    columns, rows = listing()
    assert columns == ("autoencoder", "layer", "site", "tokens", "width", "L0", "EV %")
    assert len(rows) == 83
    assert rows[0][0] == "fashion-sae"
    assert (PRISMA, 11, "resid_post", "all", 49152, "1405", "98.4") in rows
    assert all(re.fullmatch(r"blocks\.\d+\.[\w.]+", entry.hook) for entry in entries())


PRISMA = "sparse-autoencoder-clip-b-32-sae-vanilla-x64-layer-11-hook_resid_post-l1-1e-05"


def test_the_default_depends_on_what_is_seen():
    assert default_for("fashion", None, None).name == "fashion-sae"
    assert default_for(None, None, None).name == PRISMA
    assert default_for(None, 9, None).hook == "blocks.9.hook_resid_post"
    assert default_for(None, 9, "mlp_out").hook == "blocks.9.hook_mlp_out"
    with pytest.raises(UnknownNameError, match="No published"):
        default_for(None, 40, None)


@pytest.mark.parametrize(
    ("text", "layer", "name"),
    [
        ("CLS_9", None, "imagenet-sweep-vanilla-x64-CLS_9-hook_resid_post-518.621887207031-74"),
        ("cls_only-layer_1", None, "sae-top_k-64-cls_only-layer_1-hook_resid_post"),
        ("cls_only", 11, "sae-top_k-64-cls_only-layer_11-hook_resid_post"),
        ("dino", 3, "DINO-vanilla-x64-all_patches_3-resid_post-989-95"),
        ("transcoder", 4, "CLIP-transcoder-topk-512-x64-all_patches_4-mlp-76"),
        (f"Prisma-Multimodal/{PRISMA}", None, PRISMA),
    ],
)
def test_a_part_of_a_name_will_do(text, layer, name):
    found = find_entry(text, layer, None)
    assert found is not None
    assert found.name == name


def test_a_part_of_several_names_will_not():
    with pytest.raises(UnknownNameError, match="12 published autoencoders match 'dino'"):
        find_entry("dino", None, None)
    assert find_entry("no-such-thing", None, None) is None


def test_listing_imports_nothing_heavy():
    code = "import sys, equidiff_sae.catalog as c; c.listing(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
