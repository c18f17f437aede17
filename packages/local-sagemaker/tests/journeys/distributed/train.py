"""A stranger's distributed script: every process adds its rank, and says who it is."""

import os
import socket
import time
from pathlib import Path

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
# No job goes before all are here, so that their ports are in use at the same time.
meeting = Path(os.environ["MEETING"])
(meeting / os.environ["TRAINING_JOB_NAME"]).touch()
while len(list(meeting.iterdir())) < int(os.environ["JOBS"]):
    time.sleep(0.1)
dist.barrier()
dist.destroy_process_group()
