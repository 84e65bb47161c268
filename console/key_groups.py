"""Whose keys work at the same time: they must differ, and can be changed in the configuration."""

from textual.app import App

from console.keys import Group
from console.screens.detail import DetailScreen
from console.screens.main import MainScreen
from console.screens.transcript import TranscriptScreen
from widgets.board import RolloutBoard
from widgets.detail import DetailView
from widgets.dialogs.plan import PlanScreen
from widgets.dialogs.report import Report
from widgets.server_table import ServerTable
from widgets.transcript import Transcript

GROUPS: tuple[Group, ...] = (
    (App, MainScreen, ServerTable),
    (DetailScreen, DetailView),
    (RolloutBoard,),
    (TranscriptScreen, Transcript),
    (PlanScreen, Report),
)
