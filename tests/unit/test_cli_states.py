"""What the command line repeats of the model, so as not to import it for `--help`."""

from archiver.cli.main import STATES
from archiver.model import State


def test_list_offers_every_state() -> None:
    assert list(STATES) == [state.value for state in State]
