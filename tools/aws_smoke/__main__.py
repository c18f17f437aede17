"""What it costs, the question whether to begin, the run, and what to do with the record."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from course import costs
from course.workspace import ROOT
from tools.aws_smoke import compare, steps
from tools.aws_smoke.record import Record, read

RECORD = ROOT / "build" / "aws-smoke" / "record.json"
ENGINE = ROOT / "tests" / "tools" / "aws_smoke" / "records" / "engine.json"
MOST_USD = 1.0
STORED_USD = 0.01  # a few megabytes in S3, and requests


def most() -> float:
    """US dollars that a run costs at most."""
    jobs = steps.TRIALS + 1  # one more, if AWS takes a request that it should refuse
    training = jobs * costs.dollars(steps.JOB_S, steps.INSTANCE)
    return training + costs.dollars(2 * steps.ENDPOINT_S, steps.INSTANCE) + STORED_USD


def agreed(here: bool) -> bool:
    """Say what happens and what it costs, and ask, unless ``YES=1`` or nothing is paid."""
    print(
        f"This makes {steps.TRIALS} training jobs of at most {steps.JOB_S // 60} minutes and one "
        f"endpoint for about ten minutes, all on {steps.INSTANCE}, and deletes them. Duration: "
        "about 20 minutes on AWS."
    )
    if here:
        print("It asks the local engine: nothing is paid.")
        return True
    print(
        f"It costs about 0.05 USD and at most {most():.2f} USD ({costs.PRICED}). It needs the "
        f"quotas '{steps.INSTANCE} for training job usage' (2) and '{steps.INSTANCE} for endpoint "
        "usage' (1)."
    )
    if os.environ.get("YES") == "1":
        return True
    return sys.stdin.isatty() and input("Begin? (yes/no) ").strip().lower() == "yes"


def main() -> int:
    """Run it; the exit code: 0 if all went well, 1 if not, 2 if nobody agreed."""
    if most() > MOST_USD:
        print(f"it could cost {most():.2f} USD, more than {MOST_USD:.2f}: nothing is done")
        return 2
    import course

    here = os.environ.get("COURSE_MODE") == "local"
    if not agreed(here):
        print("Nothing was done. Set YES=1 to begin without a question.")
        return 2
    ws = course.connect()
    name = f"dog-breeds-smoke-{datetime.now(UTC):%m%d%H%M%S}"
    place = steps.Place(
        client=ws.session.boto_session.client,
        role=ws.role,
        bucket=ws.bucket,
        name=name,
        training_image=ws.training_image,
        inference_image=ws.inference_image,
        pause_s=0.5 if here else 15,
    )
    own = {"run": name, "bucket": ws.bucket, "role": ws.role, "region": ws.region}
    record = Record(own | {"role name": ws.role.rpartition("/")[2]})
    file = Path(os.environ.get("AWS_SMOKE_RECORD") or RECORD)
    try:
        steps.run(place, record, lambda text: print(f"-- {text}", flush=True))
    finally:
        record.write(file, "engine" if here else "AWS")
        print(f"record: {file}, without accounts, names and keys; read it before you share it")
    print(_result(compare.differences(read(file), read(ENGINE)), here))
    return 0


def _result(found: list[compare.Difference], here: bool) -> str:
    """The differences from the engine's own record, and what to do with them."""
    if not found:
        return "The answers are those of the engine."
    if here:
        advice = f"If the engine is right now, its record becomes {ENGINE.relative_to(ROOT)}."
    else:
        advice = "AWS is right: please open an issue with the record, so that we mend the engine."
    told = compare.told(found, "here" if here else "AWS", "the engine's record")
    return f"{told}\n{len(found)} difference{'' if len(found) == 1 else 's'}. {advice}"


if __name__ == "__main__":
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        sys.exit(main())
    except (RuntimeError, BotoCoreError, ClientError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        sys.exit(1)
