"""Networks that objectives measure: the two that ship with EquiDiff, and any of timm's."""

from equidiff.networks.classes import find_class
from equidiff.networks.layers import Layer, Tap, describe_layers
from equidiff.networks.load import load_network
from equidiff.networks.network import Network
from equidiff.networks.prediction import predictor_of
from equidiff.networks.units import Units

__all__ = ["Layer", "Network", "Tap", "Units", "describe_layers", "find_class", "load_network", "predictor_of"]
