import argparse
import os

import torch
import torch.nn as nn
import torch.optim as optim
import torchvision.models as models
import torchvision.transforms as transforms
from torchvision.datasets import ImageFolder


def test(model, test_loader, criterion):
    model.eval()
    running_loss, running_corrects, seen = 0, 0, 0
    with torch.no_grad():
        for inputs, labels in test_loader:
            outputs = model(inputs)
            loss = criterion(outputs, labels)
            _, preds = torch.max(outputs, 1)
            running_loss += loss.item() * inputs.size(0)
            running_corrects += torch.sum(preds == labels.data).item()
            seen += inputs.size(0)
    print(f"Testing Loss: {running_loss / seen}")
    print(f"Testing Accuracy: {running_corrects / seen}")


def train(model, train_loader, criterion, optimizer, epochs):
    model.train()
    for epoch in range(epochs):
        for inputs, labels in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(inputs), labels)
            loss.backward()
            optimizer.step()
        print("Epoch %d, loss %.4f" % (epoch, loss.item()))
    return model


def net():
    model = models.resnet18(pretrained=False)
    for param in model.parameters():
        param.requires_grad = False
    model.fc = nn.Sequential(nn.Linear(model.fc.in_features, 3))
    return model


def create_data_loaders(data, batch_size):
    transform = transforms.Compose([transforms.Resize((32, 32)), transforms.ToTensor()])
    train_data = ImageFolder(os.path.join(data, "train"), transform)
    test_data = ImageFolder(os.path.join(data, "test"), transform)
    return (
        torch.utils.data.DataLoader(train_data, batch_size=batch_size, shuffle=True),
        torch.utils.data.DataLoader(test_data, batch_size=batch_size),
    )


def main(args):
    model = net()
    criterion = nn.CrossEntropyLoss()
    optimizer = optim.Adam(model.fc.parameters(), lr=args.lr)
    train_loader, test_loader = create_data_loaders(args.data, args.batch_size)
    model = train(model, train_loader, criterion, optimizer, args.epochs)
    test(model, test_loader, criterion)
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--data", type=str, default=os.environ["SM_CHANNEL_TRAINING"])
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--output-dir", type=str, default=os.environ["SM_OUTPUT_DATA_DIR"])
    main(parser.parse_args())
