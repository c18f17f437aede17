"""`make test-notebooks`: would AWS have taken every request of the course, and nothing more?

python -m tools.dry_run.audit LOCAL.jsonl AWS.jsonl [--role ARN] [--policies FILE]

Both are records of the notebooks' requests (``local-sagemaker run --record``): in local mode, and
in AWS mode on a stand-in for AWS. Checked is that each request of AWS mode is valid by AWS's own
models, that `docs/policy.json` allows it and allows no more than the course needs, that AWS's
managed policy AmazonSageMakerFullAccess allows it too, that it relies on no default order and reads
all pages of a list, that what it makes has the course's tag, an image that exists and, on spot
instances, checkpoints, and that it differs from local mode in nothing but what the course says.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import string
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from course.workspace import ROOT
from tools.dry_run import created, listings, permissions, record
from tools.dry_run.differences import ABSENT, Difference, differences
from tools.dry_run.permissions import FULL_ACCESS, Policy
from tools.dry_run.record import Call

POLICIES = ROOT / "docs" / "policy.json"
TELEMETRY = re.compile(r"sm-pysdk-t-[a-z0-9-]+")  # AWS's own bucket, which the SDK asks unsigned
# Allowed, though no notebook that runs through needs it: (statement, action) -> who does.
SPARE = {
    "user": {
        ("ItsObjects", "s3:AbortMultipartUpload"): "boto3, when the upload of a model breaks off",
        ("ItsObjects", "s3:DeleteObject"): "notebook 01 when it runs again, and clearing up",
        ("ListWhatIsThere", "servicequotas:ListServiceQuotas"): "course.preflight",
        ("SeeTheRole", "iam:GetRole"): "course.preflight",
        ("TheBucket", "s3:GetBucketLocation"): "course.preflight",
        ("TrainAndTune", "sagemaker:AddTags"): "the SDK, which tags jobs in a project of Studio",
        ("TrainAndTune", "sagemaker:StopHyperParameterTuningJob"): "who stops a search",
    },
    "role": {
        ("ReadDataWriteModels", "s3:AbortMultipartUpload"): "an upload that breaks off",
        ("TheBucket", "s3:GetBucketLocation"): "AWS's managed policy grants it to jobs (untried)",
    },
}
# What the SDK asks for itself on AWS, and not where local mode's settings answer for it.
ASKED_ON_AWS = {
    "sts:GetCallerIdentity": "the account's number, for the default bucket's name",
    "iam:SimulatePrincipalPolicy": "where the role may put the code; denied here, as to a student",
    "s3:HeadBucket": "whether the default bucket is there, and the account's own",
}
DEVICE = re.compile(r"-(cpu|gpu|cu\d+)-")
# What a job is asked where SageMaker evaluates Debugger's rules, and where the notebook does.
DEBUGGER = re.compile(
    r"(DebugHookConfig|DebugRuleConfigurations|ProfilerConfig|ProfilerRuleConfigurations"
    r"|CheckpointConfig)\.|HyperParameters\.(debug-config|system-metrics)$"
)
RECORDED = re.compile(r"/(debug|profiler|rule)-output/")  # where the notebook reads them
# What a notebook asks that evaluates the rules itself; it keeps the verdicts beside the tensors.
NOTEBOOKS_OWN = {"s3:GetObject", "s3:HeadObject", "s3:ListObjectsV2", "s3:PutObject"}
SELF_HOSTED = "who evaluates Debugger's rules"
# What a job is asked on spot instances only, alone or as one of a search.
SPOT_MEMBERS = re.compile(
    r"(TrainingJobDefinition\.)?(EnableManagedSpotTraining|CheckpointConfig\.(S3Uri|LocalPath)"
    r"|StoppingCondition\.MaxWaitTimeInSeconds)"
)
SPOT = "spot instances"


class Facts(NamedTuple):
    """What a run chose for all its requests."""

    bucket: str
    role: str
    account: str
    region: str


@dataclass
class Audit:
    """Two records and two policies, and everything that is wrong with them."""

    local: Sequence[Call]
    aws: Sequence[Call]
    role: str
    policies: dict[str, Policy]

    def problems(self) -> list[str]:
        """A line for each thing that is wrong: what, which value, what to do."""
        checks = (_beyond_aws, _invalid)
        found = [text for check in checks for text in check(self.aws)]
        found += listings.problems(self.aws)
        found += created.problems(self.aws)
        found += _not_allowed(self.aws, self.role, self.policies)
        found += _not_managed(self.aws, self.role)
        found += _surplus(self.policies)
        found += [_told(d) for d in self.differences() if not self.reason(d)]
        return list(dict.fromkeys(found))  # the same thing is asked many times

    def differences(self) -> list[Difference]:
        """Where AWS mode's requests differ from local mode's, the SDK's own questions aside."""
        one, two = _facts(self.local), _facts(self.aws)
        return differences(
            _comparable(self.local, one), _comparable(self.aws, two), one._asdict(), two._asdict()
        )

    def reason(self, difference: Difference) -> str:
        """Why AWS mode is meant to differ there; empty if it is not."""
        ways = {_is_managed(self.local), _is_managed(self.aws)}
        if len(ways) == 2 and _belongs_to_debugger(difference):
            return SELF_HOSTED
        if _is_spot(self.aws) and not _is_spot(self.local) and _belongs_to_spot(difference):
            return SPOT
        return _reason(difference, self.aws)


# ----------------------------------------------------------------------------------------- checks


def _beyond_aws(calls: Iterable[Call]) -> Iterator[str]:
    for call in calls:
        if call.service == "?":
            yield (
                f"{call.host} was asked, and not answered ({call.refused}): find who asks, and "
                "turn it off; the course must need AWS alone"
            )
        elif call.region is None and not _is_telemetry(call):
            yield (
                f"{call.name} {_short(call.params)} was sent without a signature to {call.host}: "
                "give the client credentials"
            )


def _is_telemetry(call: Call) -> bool:
    return call.region is None and TELEMETRY.fullmatch(str(call.params.get("Bucket"))) is not None


def _invalid(calls: Iterable[Call]) -> Iterator[str]:
    from botocore.validate import ParamValidator

    for call in calls:
        problems = list(call.problems)
        if not problems and call.service != "?":
            shape = record.service_model(call.service).operation_model(call.operation).input_shape
            if shape is not None:
                report = ParamValidator().validate(_with_bodies(call.params, shape), shape)
                problems = [report.generate_report()] if report.has_errors() else []
        for problem in problems:
            yield f"{call.name} is not valid by AWS's model: {problem}. Mend the request"


def _with_bodies(value, shape):
    """Parameters with bytes again where the record holds their number."""
    if shape.type_name == "blob" and isinstance(value, int):
        return b""
    if shape.type_name == "structure" and isinstance(value, dict):
        known = shape.members
        return {n: _with_bodies(v, known[n]) if n in known else v for n, v in value.items()}
    return value


def _not_allowed(calls: Iterable[Call], role: str, policies: dict[str, Policy]) -> Iterator[str]:
    for call in calls:
        needs = permissions.of_caller(call, role)
        refused = [need for need in needs if not policies["user"].allows(need)]
        if call.refused and call.service != "?":
            if not refused:
                yield (
                    f"{call.name} was denied in the run, but the user policy allows it: "
                    "leave out --deny, or take it out of the policy"
                )
            continue
        yield from (_denied("user", call, need) for need in refused)
        for need in permissions.of_role(call, role):
            if not policies["role"].allows(need):
                yield _denied("role", call, need)


def _not_managed(calls: Iterable[Call], role: str) -> Iterator[str]:
    """What AWS's managed policy lacks, where it is the policy of both, caller and role."""
    managed = permissions.full_access()
    for call in calls:
        if call.refused:
            continue
        for need in [*permissions.of_caller(call, role), *permissions.of_role(call, role)]:
            if not managed.allows(need):
                yield (
                    f"{FULL_ACCESS} does not allow {need}, which {call.name} needs: ask in a way "
                    "that it allows"
                )


def _denied(who: str, call: Call, need: permissions.Need) -> str:
    return (
        f"the {who} policy does not allow {need}, which {call.name} needs: "
        "ask for less, or let the policy allow it"
    )


def _surplus(policies: dict[str, Policy]) -> Iterator[str]:
    for who, policy in policies.items():
        for sid, action in policy.unused():
            if (sid, action) not in SPARE[who]:
                yield (
                    f"the {who} policy allows {action} ({sid}), which the run never needed: "
                    "take it out, or say in tools/dry_run/audit.py who needs it"
                )
        written = {
            (s["Sid"], a) for s in policy.statements for a in permissions.listed(s["Action"])
        }
        for sid, action in sorted(set(SPARE[who]) - written):
            yield (
                f"tools/dry_run/audit.py speaks for {action} ({sid}), which the {who} policy does "
                "not hold: take it out there"
            )


# ------------------------------------------------------------------------------------- comparison


def _facts(calls: Sequence[Call]) -> Facts:
    """Bucket, role, account and region that most of a run's requests name."""
    buckets = Counter(c.params.get("Bucket") for c in calls if c.service == "s3" and c.region)
    buckets.pop(None, None)
    roles = Counter(role for call in calls for role in permissions.roles(call))
    regions = Counter(call.region for call in calls if call.region)
    role = _commonest(roles) or "(none)"
    account = permissions.account(role) if role.startswith("arn:") else "(none)"
    return Facts(_commonest(buckets) or "(none)", role, account, _commonest(regions) or "(none)")


def _commonest(counted: Counter) -> str | None:
    return counted.most_common(1)[0][0] if counted else None


def _comparable(calls: Iterable[Call], facts: Facts) -> list[Call]:
    """A run's requests without the SDK's own questions, and without the owner that it expects.

    What the clean-up deletes follows from the rest, too.
    """
    kept = []
    for call in calls:
        if call.name in ASKED_ON_AWS or call.service == "?" or _is_telemetry(call):
            continue
        if call.name == "s3:DeleteObjects" and call.params["Delete"].get("Quiet"):
            continue  # the clean-up's: what it deletes is all that the jobs have written
        owner = call.params.get("ExpectedBucketOwner")
        params = {n: v for n, v in call.params.items() if n != "ExpectedBucketOwner"}
        kept.append(replace(call, params=params) if owner == facts.account else call)
    return kept


def _reason(difference: Difference, calls: Iterable[Call]) -> str:
    last = difference.path.rpartition(".")[2]
    values = (difference.first, difference.second)
    if last in {"Image", "TrainingImage"}:
        return "image" if len({DEVICE.sub("-", value) for value in values}) == 1 else ""
    if last == "InstanceType":
        return "instance type" if all(value.startswith("ml.") for value in values) else ""
    if last == "OMP_NUM_THREADS":  # on AWS, each job has an instance of its own
        return "shared machine" if difference.second == ABSENT else ""
    if difference.path == "CreateBucketConfiguration.LocationConstraint":
        return "region" if values == (ABSENT, "(region)") else ""  # us-east-1's has no name
    if difference.operation == "sagemaker:CreateTrainingJob" and last in _tuned(calls):
        return "found by the search"
    return ""


def _is_managed(calls: Iterable[Call]) -> bool:
    """Whether the run asked SageMaker for Debugger's rules."""
    return any("DebugRuleConfigurations" in call.params for call in calls)


def _belongs_to_debugger(difference: Difference) -> bool:
    values = [v for v in (difference.first, difference.second) if v != ABSENT]
    if difference.operation == "sagemaker:CreateTrainingJob":
        return len(values) == 1 and DEBUGGER.match(difference.path) is not None
    return difference.operation in NOTEBOOKS_OWN and all(map(RECORDED.search, values))


def _is_spot(calls: Iterable[Call]) -> bool:
    """Whether the run asked for spot instances."""
    return any(job.get("EnableManagedSpotTraining") for call in calls for job in created.jobs(call))


def _belongs_to_spot(difference: Difference) -> bool:
    """Whether it is a job's member for spot instances, as AWS mode asks for it."""
    kinds = {"sagemaker:CreateTrainingJob", "sagemaker:CreateHyperParameterTuningJob"}
    return (
        difference.operation in kinds
        and SPOT_MEMBERS.fullmatch(difference.path) is not None
        and difference.second != ABSENT
    )


def _tuned(calls: Iterable[Call]) -> set[str]:
    """Names of the hyperparameters that the run searched."""
    return {
        value
        for call in calls
        if call.operation == "CreateHyperParameterTuningJob"
        for path, value in permissions.strings(call.params)
        if "ParameterRanges." in path and path.endswith(".Name")
    }


def _told(difference: Difference) -> str:
    operation, path, first, second = difference
    return (
        f"{operation}: {path} is {second} in AWS mode and {first} in local mode: let the notebooks "
        "ask for the same, or expect it in tools/dry_run/audit.py"
    )


# ---------------------------------------------------------------------------------------- summary


def summary(audit: Audit) -> str:
    """What was asked, how the modes differ, and which permissions lay idle, as text."""
    return "\n".join(
        [
            *_requests(audit),
            "",
            *_table_of_differences(audit),
            "",
            *_questions(audit.aws),
            "",
            *_idle(audit.policies),
        ]
    )


def _requests(audit: Audit) -> Iterator[str]:
    local, aws = (Counter(call.name for call in calls) for calls in (audit.local, audit.aws))
    yield f"{'requests':<60}{'local':>7}{'AWS':>7}"
    for name in sorted(set(local) | set(aws)):
        yield f"  {name:<58}{local[name]:>7}{aws[name]:>7}"
    yield f"  {'in all':<58}{local.total():>7}{aws.total():>7}"


def _table_of_differences(audit: Audit) -> Iterator[str]:
    yield "differences of AWS mode from local mode"
    facts = zip(Facts._fields, _facts(audit.local), _facts(audit.aws), strict=True)
    for name, one, two in facts:
        yield f"  {name:<22}{one if one == two else f'{one} -> {two}'}"
    reasons = [(audit.reason(found), found) for found in audit.differences()]
    if count := sum(reason == SELF_HOSTED for reason, _ in reasons):
        yield f"  {SELF_HOSTED}: {count} members and reads, of one mode only"
    for reason, found in reasons:
        if reason != SELF_HOSTED:
            place = f"{found.operation.partition(':')[2]}.{found.path}"
            yield f"  {reason or 'NOT EXPECTED':<22}{place}"
            yield f"  {'':<22}{found.first} -> {found.second}"


def _questions(calls: Sequence[Call]) -> Iterator[str]:
    counted = Counter(call.name for call in calls)
    yield "asked on AWS by the SDK itself, and left out of the comparison"
    for name, why in ASKED_ON_AWS.items():
        yield f"  {counted[name]:>4}  {name:<30}{why}"
    owned = sum("ExpectedBucketOwner" in call.params for call in calls)
    yield f"  {owned:>4}  {'ExpectedBucketOwner':<30}in requests to S3: refuse another's bucket"
    sent = sum(map(_is_telemetry, calls))
    yield f"  {sent:>4}  {'telemetry':<30}the SDK's, to AWS, unsigned; refused. docs/aws-details.md"


def _idle(policies: dict[str, Policy]) -> Iterator[str]:
    yield "allowed by docs/policy.json, not needed in this run"
    for who, policy in policies.items():
        for sid, action in policy.unused():
            yield f"  {who}  {action:<44}{SPARE[who].get((sid, action), 'NOBODY NEEDS IT')}"


def _short(params: dict) -> str:
    text = json.dumps(params)
    return text if len(text) <= 200 else text[:200] + "..."


# ------------------------------------------------------------------------------------------- main


def filled(file: Path, role: str, region: str) -> dict[str, Policy]:
    """The policies of `file` for one account: that of `role`, and the SDK's default bucket."""
    account = permissions.account(role)
    values = {
        "AccountId": account,
        "Bucket": f"sagemaker-{region}-{account}",
        "Role": role.partition(":role/")[2],
    }
    policies = json.loads(string.Template(file.read_text()).substitute(values))
    return {who: Policy(policy["Statement"]) for who, policy in policies.items()}


def main(arguments: list[str] | None = None) -> int:
    """Audit two records; the exit code is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="Audit the requests of a run in AWS mode.")
    parser.add_argument("local", type=Path, help="record of a run in local mode")
    parser.add_argument("aws", type=Path, help="record of a run in AWS mode")
    parser.add_argument("--role", default=os.environ.get("COURSE_ROLE"), help="ARN of jobs' role")
    parser.add_argument("--policies", type=Path, default=POLICIES, help="default: docs/policy.json")
    options = parser.parse_args(arguments)
    if not options.role:
        parser.error("name the jobs' role with --role ARN, or in COURSE_ROLE")
    try:
        local, aws = record.read(options.local), record.read(options.aws)
        policies = filled(options.policies, options.role, _facts(aws).region)
    except (OSError, ValueError) as error:
        print(f"FAILED {error}", file=sys.stderr)
        return 1
    audit = Audit(local, aws, options.role, policies)
    problems = audit.problems()  # first: it marks what of the policies was needed
    print(summary(audit))
    for problem in problems:
        print(f"FAILED {problem}", file=sys.stderr)
    if not problems:
        print("\nevery request is valid, allowed by both policies, and as in local mode")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
