"""Each way in which a plugin can be wrong leads to one message that says what to write instead."""

import pytest
from made_mistakes import USES, message
from mistakes import MISTAKES, SOUND, Mistake

from equidiff.registry.descriptors import KINDS

SOUND_ALIKE = Mistake("", "", "class Spot", "class Spot", ())


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.part}: {mistake.title}")
def test_a_mistake_has_a_message_that_says_what_to_write(mistake, tmp_path):
    found = message(mistake, tmp_path)
    assert found is not None, "nobody notices it"
    for word in mistake.words:
        assert word in found, found


@pytest.mark.parametrize("use", [*sorted(USES.keys() - {"custom", "device"}), *(f"check {kind}" for kind in KINDS)])
def test_the_sound_plugin_has_none(use, tmp_path):
    assert message(SOUND_ALIKE._replace(use=use), tmp_path) is None


def test_every_mistake_is_one_change_of_the_sound_plugin():
    assert len({(mistake.part, mistake.title) for mistake in MISTAKES}) == len(MISTAKES)
    assert all(mistake.sound in SOUND and mistake.sound != mistake.wrong for mistake in MISTAKES)
