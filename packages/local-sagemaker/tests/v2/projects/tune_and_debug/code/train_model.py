import argparse
import os

import smdebug.pytorch as smd
import torch
import torch.nn as nn
import torch.optim as optim
from hpo import create_data_loaders, net
from smdebug.profiler.utils import str2bool


def test(model, test_loader, criterion, hook):
    model.eval()
    hook.set_mode(smd.modes.EVAL)
    running_loss, seen = 0, 0
    with torch.no_grad():
        for inputs, labels in test_loader:
            loss = criterion(model(inputs), labels)
            running_loss += loss.item() * inputs.size(0)
            seen += inputs.size(0)
    print(f"Testing Loss: {running_loss / seen}")


def train(model, train_loader, criterion, optimizer, hook, epochs):
    for epoch in range(epochs):
        model.train()
        hook.set_mode(smd.modes.TRAIN)
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
        print("Epoch %d, loss %.4f" % (epoch, loss.item()))


def main(args):
    model = net()
    hook = smd.Hook.create_from_json_file()
    hook.register_hook(model)
    criterion = nn.CrossEntropyLoss()
    hook.register_loss(criterion)
    optimizer = optim.Adam(model.fc.parameters(), lr=args.lr)
    train_loader, test_loader = create_data_loaders(args.data, args.batch_size)
    train(model, train_loader, criterion, optimizer, hook, args.epochs)
    test(model, test_loader, criterion, hook)
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--gpu", type=str2bool, default=False)
    parser.add_argument("--data", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    main(parser.parse_args())
