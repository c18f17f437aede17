"""Tags of any SageMaker resource, by its ARN."""

from __future__ import annotations

from local_sagemaker.core.errors import invalid
from local_sagemaker.core.kinds import named
from local_sagemaker.core.listing import cut
from local_sagemaker.core.store import Store

LIMIT = 50  # tags of one resource, as everywhere on AWS


class Tags:
    """AddTags, ListTags and DeleteTags; the tags are kept with the resource."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def _find(self, arn: str) -> tuple[str, str, dict[str, str]]:
        """Kind and name of a resource, and its tags.

        Raises:
            ApiError: ValidationException if there is no such resource.
        """
        kind, name = named(arn) or (None, "")
        found = self.store.get(kind.stored, name) if kind else None
        if found is None:
            raise invalid(f"Could not find the resource '{arn}'")
        tags = {tag["Key"]: tag["Value"] for tag in found.get("Tags", [])}
        return kind.stored, name, tags

    def _keep(self, kind: str, name: str, tags: dict[str, str]) -> list[dict]:
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.store.update(kind, name, Tags=listed)
        return listed

    def add(self, request: dict) -> dict:
        with self.store.lock:
            kind, name, tags = self._find(request["ResourceArn"])
            tags |= {tag["Key"]: tag["Value"] for tag in request["Tags"]}
            if len(tags) > LIMIT:
                raise invalid(f"Tags: {name} would have {len(tags)} tags, and at most {LIMIT} go")
            return {"Tags": self._keep(kind, name, tags)}

    def list(self, request: dict) -> dict:
        _, _, tags = self._find(request["ResourceArn"])
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        return cut(listed, request, "Tags", key=lambda tag: [tag["Key"]], size=LIMIT)

    def delete(self, request: dict) -> dict:
        with self.store.lock:
            kind, name, tags = self._find(request["ResourceArn"])
            self._keep(kind, name, {k: v for k, v in tags.items() if k not in request["TagKeys"]})
        return {}


def check_tags(tags: list[dict]) -> None:
    """Refuse tags that no resource may have.

    Raises:
        ApiError: ValidationException for a key that is AWS's own, or given twice.
    """
    keys = [tag["Key"] for tag in tags]
    for key in keys:
        if key.lower().startswith("aws:"):
            text = "aws: prefixed tag key names are not allowed for external use"
            raise invalid(f"Tags: {text}, and '{key}' is one")
        if keys.count(key) > 1:
            raise invalid(f"Tags: Tag keys must be unique per resource, and '{key}' comes twice")
