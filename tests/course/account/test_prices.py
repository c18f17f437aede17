"""The price table: what the course can ask for is in it, each price with its source."""

import pytest

from course import costs
from course.account import prices
from course.account.preflight import CPU_INSTANCES
from course.workspace import ENDPOINT_INSTANCE, TRAINING_INSTANCES


def test_all_that_the_course_can_ask_for_has_a_price():
    asked = {*TRAINING_INSTANCES.values(), *CPU_INSTANCES, ENDPOINT_INSTANCE, costs.GPU}
    assert asked <= set(prices.HOURLY)
    families = {name.split(".")[1] for name in prices.HOURLY}
    assert {"g4dn", "g5", "g6", "m5", "t3"} <= families


def test_each_price_has_a_source_that_is_told():
    others = [prices.SERVERLESS, prices.STUDIO_DISK]
    named = {price.source for price in [*prices.HOURLY.values(), *others]}
    assert named == set(prices.SOURCES)
    assert "2026" in prices.PRICED and all(price.usd > 0 for price in prices.HOURLY.values())


def test_larger_machines_of_a_family_cost_more():
    pairs = [("ml.m5.large", "ml.m5.xlarge"), ("ml.m5.xlarge", "ml.m5.2xlarge")]
    pairs += [(f"ml.{f}.xlarge", f"ml.{f}.2xlarge") for f in ("g4dn", "g5", "g6")]
    assert all(prices.hourly(small) < prices.hourly(large) for small, large in pairs)


def test_an_unknown_instance_is_named():
    with pytest.raises(ValueError, match=r"'ml.moon.large': known are ml.t3.medium, "):
        prices.hourly("ml.moon.large")
