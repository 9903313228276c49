"""The only package that accesses devices, processes and terminals."""
