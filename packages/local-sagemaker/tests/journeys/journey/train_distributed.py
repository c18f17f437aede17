"""A stranger's distributed script: every process adds its rank, and says who it is."""

import os
import socket

import torch
import torch.distributed as dist

dist.init_process_group("gloo")
total = torch.tensor([float(dist.get_rank() + 1)])
dist.all_reduce(total)
print(
    f"rank={dist.get_rank()} of {dist.get_world_size()} on {socket.gethostname()} "
    f"port={os.environ['MASTER_PORT']} sum={total.item():.0f}",
    flush=True,
)
dist.destroy_process_group()
