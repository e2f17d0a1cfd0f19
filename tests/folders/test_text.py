"""Names of files in terminals, shells and JSON files."""

import json
import os
import subprocess

import pytest

from equidiff.folders.text import printable, shell_command, to_json

NAMES = [
    b"plain.png",
    b"a b, c+d 100%=x:[1].png",
    b'it\'s "quoted" \\ `$HOME` !.png',
    "zèbre 斑馬.png".encode(),
    b"z\xe8bre.png",
    b"\xe8a1'\\.png",
    b"two\nlines\tand \x1b[31m.png",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_reads_back_a_command_that_is_ascii_where_the_name_is_no_text(name):
    command = shell_command(["printf", "%s", os.fsdecode(name)])
    assert printable(command) == command
    assert subprocess.run(["bash", "-c", command], stdout=subprocess.PIPE, check=True).stdout == name


@pytest.mark.parametrize("name", NAMES)
def test_json_reads_back_as_the_same_name_and_is_utf8(name):
    text = to_json({"name": os.fsdecode(name)})
    assert os.fsencode(json.loads(text.encode())["name"]) == name


def test_json_keeps_letters_of_all_languages():
    assert to_json("zèbre 斑馬") == '"zèbre 斑馬"'


def test_what_is_shown_has_no_controls_and_no_surrogates():
    assert printable(os.fsdecode(b"z\xe8bre\x1b[2J\r.png")) == r"z\xe8bre\x1b[2J\x0d.png"
    assert printable("zèbre:\n\t1\ud800") == "zèbre:\n\t1\\ud800"
