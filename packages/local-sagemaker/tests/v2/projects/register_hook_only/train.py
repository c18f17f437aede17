import os

import smdebug.pytorch as smd
import torch
from torch import nn

model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
hook = smd.Hook.create_from_json_file()
hook.register_hook(model)

torch.manual_seed(0)
x = torch.randn(96, 6)
y = x[:, :3].argmax(1)
criterion = nn.CrossEntropyLoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
for step in range(21):
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
print("final loss", loss.item())
torch.save(model.state_dict(), os.path.join(os.environ["SM_MODEL_DIR"], "model.pth"))
