"""How a network's weights start, and whether its units can ever become different."""

__version__ = "0.0.1"
