"""Tags of any SageMaker resource, by its ARN."""

from __future__ import annotations

import time

from local_sagemaker.listing import cut
from local_sagemaker.store import Store
from local_sagemaker.validation import invalid

KIND = "tags"
TAGGABLE = {  # the resource's part of an ARN -> the store's kind
    "training-job": "training-job",
    "hyper-parameter-tuning-job": "tuning-job",
    "model": "model",
    "endpoint-config": "endpoint-config",
    "endpoint": "endpoint",
}


class Tags:
    """AddTags, ListTags and DeleteTags."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.handlers = {"AddTags": self.add, "ListTags": self.list, "DeleteTags": self.delete}

    def _of(self, arn: str) -> list[dict]:
        """Tags given at creation or added later.

        Raises:
            ApiError: if there is no such resource.
        """
        kind, _, name = arn.rpartition(":")[2].partition("/")
        resource = self.store.get(TAGGABLE.get(kind, ""), name)
        if resource is None:
            raise invalid(f"Could not find the resource '{arn}'")
        added = self.store.get(KIND, arn)
        return added["Tags"] if added else resource.get("Tags", [])

    def _keep(self, arn: str, tags: list[dict]) -> None:
        self.store.put(KIND, arn, {"Tags": tags, "CreationTime": time.time()})

    def add(self, request: dict) -> dict:
        arn = request["ResourceArn"]
        values = {tag["Key"]: tag["Value"] for tag in [*self._of(arn), *request["Tags"]]}
        tags = [{"Key": key, "Value": value} for key, value in values.items()]
        self._keep(arn, tags)
        return {"Tags": tags}

    def list(self, request: dict) -> dict:
        return cut(self._of(request["ResourceArn"]), request, "Tags")

    def delete(self, request: dict) -> dict:
        arn = request["ResourceArn"]
        self._keep(arn, [tag for tag in self._of(arn) if tag["Key"] not in request["TagKeys"]])
        return {}
