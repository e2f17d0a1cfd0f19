"""A class of a network that was trained a moment ago: clothes or shoes?"""

import torch
from torch import nn

import equidiff
from equidiff.builtin.generators.fashion import load_queries
from equidiff.images.convert import image_to_tensor
from equidiff.networks.fashion import CLASSES

images = torch.cat([image_to_tensor(image) for image in load_queries()])  # two of each class, in order
shoes = {"sandal", "sneaker", "ankle-boot"}
labels = torch.tensor([CLASSES[index % 10] in shoes for index in range(20)]).long()

torch.manual_seed(0)
network = nn.Sequential(
    nn.Conv2d(1, 8, 5, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.1), nn.Flatten(), nn.Linear(8 * 144, 2)
)
optimizer = torch.optim.Adam(network.parameters(), 1e-3, weight_decay=1e-2)
for _ in range(100):
    loss = nn.functional.cross_entropy(network(images), labels)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

objective = equidiff.classifier(network, "shoes", classes=["clothes", "shoes"], output="logit")
print("the queries:", [round(value, 1) for value in objective.measure(images)[:10, 0].tolist()])
found = equidiff.sample("toy", objective, query=7, samples=4)
print(found)
