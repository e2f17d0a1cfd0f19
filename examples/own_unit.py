"""A unit of a torchvision network. Its weights are random, so that nothing is downloaded; yours are trained."""

import torchvision

import equidiff

network = torchvision.models.resnet18(weights=None)
objective = equidiff.neuron(network, "layer3", 42, size=64, mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])

found = equidiff.sample("toy", objective, query=3, samples=2)
print(found)
print("training goes on:", network.training)
