"""The stage: the app under test and its instruments."""

from holdtrue.stage.scene import Seen
from holdtrue.stage.setting import Setting
from holdtrue.stage.stage import Stage

__all__ = ["Seen", "Setting", "Stage"]
