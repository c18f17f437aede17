"""Endpoints: the operations, and the way from one status to the next."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable

from local_sagemaker.aws.services import Services
from local_sagemaker.core import state_files, waiters
from local_sagemaker.core.errors import ApiError, failure_reason, invalid
from local_sagemaker.core.kinds import ENDPOINT
from local_sagemaker.core.store import is_disk_full
from local_sagemaker.hosting import capture, deployments, resources, variants
from local_sagemaker.hosting.instance import HostedInstance
from local_sagemaker.hosting.invocations import Invocations
from local_sagemaker.hosting.model_data import HostingFailed
from local_sagemaker.hosting.models import Models
from local_sagemaker.hosting.variants import Fleet, HostedVariant

log = logging.getLogger(__name__)
AT_REST = {"InService", "Failed"}


class Endpoints:
    """All models, configurations and endpoints of one engine."""

    def __init__(self, services: Services) -> None:
        self.services, self.store = services, services.store
        self.models = Models(services.store, services.s3)
        # By endpoint: the variants in service, and those on their way there.
        self.hosted: dict[str, Fleet] = {}
        self.deploying: dict[str, Fleet] = {}
        self.closing = threading.Event()
        self.capture = capture.Capture(services.s3)
        self.invoke = Invocations(services, self.hosted.get, self.capture).invoke

    def restore(self) -> None:
        """Serve again what was served when the engine ended, and end what was being deleted."""
        shutil.rmtree(self.store.folder / state_files.ENDPOINTS, ignore_errors=True)
        for endpoint in self.store.all(ENDPOINT.stored):
            name, status = endpoint["EndpointName"], endpoint["EndpointStatus"]
            if status == "Deleting":
                self.store.remove(ENDPOINT.stored, name)
                continue
            if "Deployment" not in endpoint:
                endpoint = self._of_older_engine(endpoint)
            if endpoint["EndpointStatus"] != "Failed":
                self._serve_again(name, endpoint["Deployment"], endpoint["Pending"])

    def _of_older_engine(self, endpoint: dict) -> dict:
        """An endpoint's description that does not hold yet what the endpoint serves."""
        name, config = endpoint["EndpointName"], endpoint["EndpointConfigName"]
        changes: dict = {"Deployment": None}
        try:
            changes["Pending"] = self.models.deployment(config)
        except ApiError as error:
            nothing = {"EndpointConfigName": config, "Variants": [], "DataCaptureConfig": None}
            changes |= {"Pending": nothing, "EndpointStatus": "Failed", "FailureReason": str(error)}
        return self.store.update(ENDPOINT.stored, name, **changes)

    def _serve_again(self, name: str, served: dict | None, pending: dict | None) -> None:
        if served is None:
            self._deploy(name, "Creating", pending)
        else:  # an update that was under way follows once the endpoint is as it was
            self._deploy(name, "SystemUpdating", served, following=pending)

    def close(self) -> None:
        self.closing.set()
        fleets = [*self.hosted.values(), *self.deploying.values()]
        variants.close(instance for fleet in fleets for instance in _instances(fleet))
        self.capture.flush()

    # Operations

    def create(self, request: dict) -> dict:
        resources.refuse(request, "", deployments.NOT_IN_DEPLOYMENTS)
        deployment = self.models.deployment(request["EndpointConfigName"])
        new = {"EndpointStatus": "Creating", "Deployment": None, "Pending": deployment}
        with self.store.lock:
            answer = resources.make(self.store, ENDPOINT, request, **new)
            self._deploy(request["EndpointName"], "Creating", deployment)
        return answer

    def update(self, request: dict) -> dict:
        resources.refuse(request, "", deployments.NOT_IN_DEPLOYMENTS)
        name = request["EndpointName"]
        with self.store.lock:
            resources.get(self.store, ENDPOINT, name)
            deployment = self.models.deployment(request["EndpointConfigName"])
            endpoint = self._in_service(name)
            if request.get("RetainAllVariantProperties"):
                excluded = request.get("ExcludeRetainedVariantProperties", [])
                deployments.retain(endpoint["Deployment"], deployment, excluded)
            self._deploy(name, "Updating", deployment)
        return {"EndpointArn": endpoint["EndpointArn"]}

    def rescale(self, request: dict) -> dict:
        """UpdateEndpointWeightsAndCapacities."""
        name = request["EndpointName"]
        with self.store.lock:
            endpoint = self._in_service(name)
            deployment = deployments.rescaled(endpoint, request["DesiredWeightsAndCapacities"])
            self._note(name, "Updating", Pending=deployment)
            fleet = self.hosted[name]
        threading.Thread(target=self._rescale, args=(name, fleet, deployment), daemon=True).start()
        return {"EndpointArn": endpoint["EndpointArn"]}

    def describe(self, request: dict) -> dict:
        waiters.hold(lambda: self._is_at_rest(request["EndpointName"]))
        endpoint = resources.get(self.store, ENDPOINT, request["EndpointName"])
        fleet = self.hosted.get(endpoint["EndpointName"], {})
        served, pending = endpoint["Deployment"], endpoint["Pending"]
        shown = served or pending
        endpoint["ProductionVariants"] = [
            deployments.variant_summary(spec, fleet.get(spec["VariantName"]), endpoint)
            for spec in shown["Variants"]
        ]
        if pending and endpoint["EndpointStatus"] not in AT_REST:
            endpoint["PendingDeploymentSummary"] = {
                "EndpointConfigName": pending["EndpointConfigName"],
                "ProductionVariants": [
                    deployments.variant_summary(spec, None, endpoint)
                    for spec in pending["Variants"]
                ],
                "StartTime": endpoint["LastModifiedTime"],
            }
        endpoint["DataCaptureConfig"] = capture.summary(shown["DataCaptureConfig"], bool(fleet))
        return endpoint

    def list(self, request: dict) -> dict:
        return resources.listed(self.store, ENDPOINT, request)

    def delete(self, request: dict) -> dict:
        """DeleteEndpoint; answered when the processes have ended. AWS answers at once."""
        name = request["EndpointName"]
        with self.store.lock:
            self._not_in_progress(name)
            self._note(name, "Deleting")
            fleet = self.hosted.pop(name, {})
        variants.close(_instances(fleet))
        self.store.remove(ENDPOINT.stored, name)
        return {}

    def _is_at_rest(self, name: str) -> bool:
        endpoint = self.store.get(ENDPOINT.stored, name)
        return endpoint is None or endpoint["EndpointStatus"] in AT_REST or self.closing.is_set()

    def _in_service(self, name: str) -> dict:
        endpoint = self._not_in_progress(name)
        if endpoint["EndpointStatus"] == "Failed":
            text = f'Cannot update failed endpoint "{endpoint["EndpointArn"]}": '
            raise invalid(text + "DeleteEndpoint is the only operation on a failed endpoint.")
        return endpoint

    def _not_in_progress(self, name: str) -> dict:
        endpoint = resources.get(self.store, ENDPOINT, name)
        if endpoint["EndpointStatus"] not in AT_REST:
            raise invalid(f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".')
        return endpoint

    # What follows an operation, in threads

    def _deploy(
        self,
        name: str,
        status: str,
        deployment: dict,
        following: dict | None = None,
    ) -> None:
        """Start `deployment` beside what serves; `following` is deployed after it."""
        with self.store.lock:
            fleet = {
                spec["VariantName"]: HostedVariant(self.services, name, spec, self.give_up)
                for spec in deployment["Variants"]
            }
            self.deploying[name] = fleet
            self._note(name, status, Pending=following or deployment)
        arguments = (name, fleet, deployment, following)
        threading.Thread(target=self._run, args=arguments, daemon=True).start()

    def _run(self, name: str, fleet: Fleet, deployment: dict, following: dict | None) -> None:
        """Put the fleet in service when all its instances answer; then end the former one."""
        reason = _attempt(lambda: variants.start(_instances(fleet)))
        with self.store.lock:
            del self.deploying[name]
            if self.closing.is_set():
                return
            former = self.hosted.get(name)
            if reason is None:
                self.hosted[name] = fleet
        if reason is not None:
            self._settle(name, former, reason)
            return
        variants.close(_instances(former or {}))
        if not self.closing.is_set():
            self._serve(name, fleet, deployment)
            if following:
                self._deploy(name, "Updating", following)

    def _serve(self, name: str, fleet: Fleet, deployment: dict) -> None:
        config = deployment["EndpointConfigName"]
        changes = {"EndpointConfigName": config, "Deployment": deployment, "Pending": None}
        self._tell(name, fleet, "InService", FailureReason=None, **changes)

    def _settle(self, name: str, former: Fleet | None, reason: str) -> None:
        """A deployment failed: what served before it serves on, as on SageMaker."""
        reason = failure_reason(reason)
        if former is None:
            self._tell(name, None, "Failed", FailureReason=reason)
        else:
            self._tell(name, former, "InService", FailureReason=reason, Pending=None)

    def _tell(self, name: str, fleet: Fleet | None, status: str, **changes) -> None:
        """Note a status that follows from an operation, while `fleet` is what serves.

        It may have been given up meanwhile, and its endpoint deleted. On a full disk this waits.
        """
        while not self.closing.is_set():
            try:
                with self.store.lock:
                    if self.hosted.get(name) is fleet:
                        self._note(name, status, **changes)
                        if status == "Failed":  # nothing serves from now on
                            self.hosted.pop(name, None)
                return
            except sqlite3.OperationalError as error:
                if not is_disk_full(error):
                    raise
            self.closing.wait(1)

    def _rescale(self, name: str, fleet: Fleet, deployment: dict) -> None:
        former = {variant.name: len(variant.instances) for variant in fleet.values()}

        def scale() -> None:
            for spec in deployment["Variants"]:
                fleet[spec["VariantName"]].scale(spec["Count"])

        reason = _attempt(scale)
        if reason is None:
            for spec in deployment["Variants"]:
                fleet[spec["VariantName"]].weight = spec["Weight"]
            self._serve(name, fleet, deployment)
        elif not self.closing.is_set():
            self._tell(name, fleet, "RollingBack")
            for variant in fleet.values():
                variant.scale(min(len(variant.instances), former[variant.name]))
            self._settle(name, fleet, reason)
        if self.hosted.get(name) is not fleet:  # given up: nothing ends what was started since
            variants.close(_instances(fleet))

    def _note(self, name: str, status: str, **changes) -> None:
        changes |= {"EndpointStatus": status, "LastModifiedTime": time.time()}
        self.store.update(ENDPOINT.stored, name, **changes)

    def give_up(self, failed: HostedInstance, reason: str) -> None:
        """Fail the endpoint of an instance whose process cannot be kept running."""
        fleet = self.hosted.get(failed.endpoint, {})
        if failed in _instances(fleet):  # else it was replaced or deleted meanwhile
            self._tell(failed.endpoint, fleet, "Failed", FailureReason=failure_reason(reason))
            variants.close(_instances(fleet))


def _attempt(action: Callable[[], None]) -> str | None:
    """Why `action` failed, or None."""
    try:
        action()
    except (HostingFailed, ApiError) as error:
        return str(error)
    except Exception as error:
        log.exception("a deployment failed")
        return f"{type(error).__name__}: {error}"
    return None


def _instances(fleet: Fleet) -> list[HostedInstance]:
    return [instance for variant in fleet.values() for instance in variant.instances]
