"""Tests of workflows in milliseconds: an engine on a temporary database whose clock jumps when everything is at rest."""

from polos.errors import Stuck
from polos.testing.assertions import assert_steps
from polos.testing.env import PolosEnv
from polos.testing.executions import TestedExecution

__all__ = ["PolosEnv", "Stuck", "TestedExecution", "assert_steps"]
