"""A stranger's training script, whose requirements pin a package that the engine has, too."""

import tqdm

print(f"version={tqdm.VALUE}")
