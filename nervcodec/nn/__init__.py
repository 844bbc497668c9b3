"""The network as a function of a flat vector of parameters, and the device that it runs on.

PyTorch; knows neither files nor training.
"""
