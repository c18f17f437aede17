"""The variables that send boto3 and both SageMaker SDKs to a local engine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from local_sagemaker import ACCOUNT, REGION, ROLE_ARN
from local_sagemaker.client import profiles
from local_sagemaker.core import access_key, state_files
from local_sagemaker.core.access_key import AccessKey

# The SDK asks STS for its default bucket and reports usage at addresses that AWS_ENDPOINT_URL
# does not move; its own configuration file turns both off.
SDK_CONFIG = f"""\
SchemaVersion: '1.0'
SageMaker:
  PythonSDK:
    Modules:
      TelemetryOptOut: true
      Session:
        DefaultS3Bucket: sagemaker-{REGION}-{ACCOUNT}
"""
# What would lead away from the engine, or bring real credentials in.
REMOVED = (
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_DEFAULT_REGION",  # the configuration file says it, so that a profile may have its own
    "AWS_REGION",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_SAGEMAKER",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",  # botocore refuses it beside an address of one's own
    "AWS_USE_DUALSTACK_ENDPOINT",
)
ONE_SERVICE = "AWS_ENDPOINT_URL_"  # with a service's name: goes before AWS_ENDPOINT_URL
# What local mode sets and a client on AWS has not; a run on the recording proxy has none.
LOCAL_ONLY = (
    "AWS_ENDPOINT_URL",
    "AWS_EC2_METADATA_DISABLED",
    "SAGEMAKER_USER_CONFIG_OVERRIDE",
    "SAGEMAKER_ADMIN_CONFIG_OVERRIDE",
    "SAGEMAKER_VALIDATE_ROLE",
    "SAGEMAKER_ROLE",
    "LOCAL_SAGEMAKER_URL",
)
LOOPBACK = ("127.0.0.1", "localhost")


def removed(caller: Mapping[str, str]) -> list[str]:
    """The variables of `caller` that must go, and those that it could have."""
    return [*REMOVED, *sorted(n for n in caller if n.startswith(ONE_SERVICE) and n not in REMOVED)]


def past_proxies(caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's exceptions from its proxies, and the loopback address among them."""
    entries = [*LOOPBACK]
    for name in ("no_proxy", "NO_PROXY"):
        entries += [entry.strip() for entry in caller.get(name, "").split(",")]
    entries = list(dict.fromkeys(entry for entry in entries if entry))
    past = "*" if "*" in entries else ",".join(entries)  # * counts only where it stands alone
    return {"NO_PROXY": past, "no_proxy": past}


def aws_variables(url: str, key: AccessKey) -> dict[str, str]:
    """What every AWS client in a container needs: the engine's address and key, a region."""
    return {**_reaching(url, key), "AWS_DEFAULT_REGION": REGION, "AWS_REGION": REGION}


def _reaching(url: str, key: AccessKey) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": url,
        **key.variables(),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def client_environment(url: str, state: Path, folder: Path | None = None) -> dict[str, str]:
    """Variables for a client of the engine at `url`; writes the files that they name.

    The region stands in a configuration file among them, beside the names of the caller's profiles.

    Args:
        state: the engine's folder, which holds its access key.
        folder: gets the files; None is `state`.

    Raises:
        NoAccessKey: it cannot be read there.
    """
    key, folder = access_key.read(state), folder or state
    sdk = folder / state_files.SDK_CONFIG
    sdk.write_text(SDK_CONFIG)
    return {
        **_reaching(url, key),
        **profiles.variables(os.environ, folder, key),
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(sdk),
        "SAGEMAKER_ADMIN_CONFIG_OVERRIDE": str(sdk),
        "SAGEMAKER_VALIDATE_ROLE": "false",
        "SAGEMAKER_ROLE": ROLE_ARN,
        "LOCAL_SAGEMAKER_URL": url,
        **past_proxies(os.environ),
    }


def recorded_environment(proxy: str, certificate: Path, state: Path) -> dict[str, str]:
    """What a client has on AWS: keys and a region, no address; the network is the proxy.

    Every library that a client may ask by is told of the proxy and of its certificate: what
    leaves past the proxy would leave this machine, and what it refuses is recorded.
    """
    region = os.environ.get("AWS_REGION", REGION)  # the engine answers for all of them
    trusted = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "CURL_CA_BUNDLE")
    proxied = ("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy")
    return {
        **access_key.read(state).variables(),
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **_empty_config(state),
        **dict.fromkeys(trusted, str(certificate)),
        **dict.fromkeys(proxied, proxy),
        **past_proxies({}),  # the caller's exceptions would lead past the recording
    }


def _empty_config(state: Path) -> dict[str, str]:
    """Variables that keep the caller's own AWS configuration out."""
    empty = state / state_files.NO_AWS_CONFIG
    empty.write_text("")
    return {"AWS_CONFIG_FILE": str(empty), "AWS_SHARED_CREDENTIALS_FILE": str(empty)}
