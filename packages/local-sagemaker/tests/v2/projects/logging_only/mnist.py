import argparse
import logging
import os

import torch
import torch.nn.functional as F

logger = logging.getLogger(__name__)


def main(args):
    torch.manual_seed(1)
    x = torch.randn(64, 4)
    y = (x.sum(1) > 0).long()
    model = torch.nn.Sequential(
        torch.nn.Linear(4, args.units), torch.nn.ReLU(), torch.nn.Linear(args.units, 2)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        logger.info("Train Epoch: {} Loss: {:.6f}".format(epoch, loss.item()))
    logger.info("Test set: Average loss: {:.4f}\n".format(F.cross_entropy(model(x), y).item()))
    torch.save(model.state_dict(), os.path.join(args.model_dir, "model.pth"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=0.01)
    parser.add_argument("--units", type=int, default=4)
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    main(parser.parse_args())
