"""Times engines, nodes and kernels, and predicts what an Orin would take."""
