"""Devices, processes, terminals: the only package that names them."""
