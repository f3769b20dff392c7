"""The stage: the app under test and its instruments."""

from holdtrue.stage.setting import Setting
from holdtrue.stage.stage import Seen, Stage

__all__ = ["Seen", "Setting", "Stage"]
