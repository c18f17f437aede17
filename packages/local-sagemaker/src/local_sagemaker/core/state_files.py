"""The names of all that the engine writes into its state folder, by what it is for.

Whoever writes there takes the name from here, so that ``clean --all`` removes it.
"""

from __future__ import annotations

LOCK = "engine.lock"
DATABASE = "state.db"
OBJECTS = "objects"
JOBS, RULES, ENDPOINTS, ENVIRONMENTS = "jobs", "rules", "endpoints", "environments"
INCOMING = "incoming"
LOG, OLD_LOG = "engine.log", "engine.log.old"
RUNNING, RUNNING_DRAFT = "engine.json", "engine.json.new"
COMMAND = "run.json"
ACCESS_KEY, ACCESS_KEY_DRAFT = "access-key.json", "access-key.json.new"
CERTIFICATE, IDENTITY, AUTHORITIES = "stand-in.pem", "identity.pem", "authorities.pem"
IDENTITY_KEY = "identity-key.pem"
SDK_CONFIG = "sdk.yaml"
NO_AWS_CONFIG, AWS_CONFIG, AWS_CREDENTIALS = "no-aws-config", "aws-config", "aws-credentials"

# All but the lock.
PARTS = {
    "objects": [OBJECTS],
    "database": [DATABASE, f"{DATABASE}-wal", f"{DATABASE}-shm"],
    "jobs": [JOBS, RULES],
    "endpoints": [ENDPOINTS],
    "environments": [ENVIRONMENTS],
    "uploads on their way": [INCOMING],
    "engine's log": [LOG, OLD_LOG],
    "access key": [ACCESS_KEY, ACCESS_KEY_DRAFT, AWS_CREDENTIALS, IDENTITY_KEY],
    "other": [
        RUNNING,
        RUNNING_DRAFT,
        COMMAND,
        CERTIFICATE,
        IDENTITY,
        AUTHORITIES,
        SDK_CONFIG,
        NO_AWS_CONFIG,
        AWS_CONFIG,
    ],
}
