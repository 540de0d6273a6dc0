"""Behaviours for `model.fit`: one file per method."""

from kerasprune.callbacks.greg1 import GReg1
from kerasprune.callbacks.greg2 import GReg2
from kerasprune.callbacks.network_slimming import NetworkSlimming
from kerasprune.callbacks.norm_history import NormHistory
from kerasprune.callbacks.polarization import Polarization
from kerasprune.callbacks.table import callbacks as _callbacks

add, names, get, member = _callbacks.add, _callbacks.names, _callbacks.get, _callbacks.member

__all__ = ["GReg1", "GReg2", "NetworkSlimming", "NormHistory", "Polarization", "add", "get", "member", "names"]
