"""What the course would cost on AWS.

On-demand prices in US dollars an hour, region us-east-1. Those of ml.g4dn.xlarge and ml.m5.xlarge
were checked in November 2026; the other two are approximate and were not. Other regions have other
prices, and no table is a bill: look at yours.
"""

HOURLY = {
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.c5.xlarge": 0.204,
    "ml.g4dn.xlarge": 0.736,
}
# The most a notebook can cost on AWS: its jobs' limits times their instances' prices.
AT_MOST = {
    "01-data-to-s3": 0.05,  # 1.1 GB of storage for a month
    "02-hpo": 6 * 0.5 * HOURLY["ml.g4dn.xlarge"],  # six jobs, each stopped after half an hour
    "03-train-debug-profile": 2 * 1.0 * HOURLY["ml.g4dn.xlarge"],  # two jobs of an hour at most
    "04-deploy-query": 1.0 * HOURLY["ml.m5.large"],  # an endpoint deleted within the hour
}


def dollars(seconds: float, instance_type: str) -> float:
    """US dollars for `seconds` of one instance.

    Raises:
        ValueError: if the price of `instance_type` is not in the table.
    """
    if instance_type not in HOURLY:
        known = ", ".join(HOURLY)
        raise ValueError(f"no price for '{instance_type}': known are {known}")
    return seconds / 3600 * HOURLY[instance_type]
