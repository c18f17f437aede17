"""`entry_points/debugger/hookconfig.py`: when tensors are asked for, and where they go."""

import json

import pytest

from debugger import hookconfig
from options import ConfigError

LOSSES = {"CollectionName": "losses", "CollectionParameters": {"train.save_interval": "3"}}
CONFIG = {"CollectionConfigurations": [LOSSES], "HookParameters": {"save_interval": "10"}}


@pytest.fixture(autouse=True)
def job(job_config):
    return job_config


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        (None, False),
        ("", False),
        ("{}", False),
        ('{"LocalPath": "x", "CollectionConfigurations": []}', False),
        ('{"S3OutputPath": "", "HookParameters": null, "CollectionConfigurations": null}', False),
        ('{"CollectionConfigurations": [{"CollectionName": "losses"}]}', True),
        ('{"HookParameters": {"save_interval": "5"}}', True),
    ],
)
@pytest.mark.parametrize("by_smdebug", [False, True])
def test_only_a_file_of_sagemakers_that_asks_for_something_counts(
    job, monkeypatch, content, wanted, by_smdebug
):
    path = job / "debughookconfig.json"
    if by_smdebug:
        path = job / "other.json"
        monkeypatch.setenv("SMDEBUG_CONFIG_FILE_PATH", str(path))
    if content is not None:
        path.write_text(content)
    assert hookconfig.from_sagemaker() == (path if wanted else None)


def test_a_damaged_file_of_sagemakers_is_named(job):
    (job / "debughookconfig.json").write_text("{")
    with pytest.raises(ConfigError, match=r"debughookconfig\.json"):
        hookconfig.from_sagemaker()


def test_an_option_may_be_json_or_quoted_json_or_a_file(tmp_path, monkeypatch):
    text = json.dumps(CONFIG)
    (tmp_path / "tensors.json").write_text(text)
    monkeypatch.chdir(tmp_path)
    for option in (text, f"\n {text} ", json.dumps(text), "tensors.json", '"tensors.json"'):
        assert hookconfig.parse(option) == CONFIG


def test_a_file_may_lie_beside_the_script(tmp_path, monkeypatch):
    monkeypatch.setattr(hookconfig, "__file__", str(tmp_path / "debugger" / "hookconfig.py"))
    (tmp_path / "tensors.json").write_text(json.dumps(CONFIG))
    assert hookconfig.parse("tensors.json") == CONFIG


def with_parameters(**parameters):
    return {"CollectionConfigurations": [{**LOSSES, "CollectionParameters": parameters}]}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ("{", "no JSON"),
        ("{CollectionConfigurations:", "no JSON.*toolkit.*name a file"),
        ("missing.json", "missing.json.*source folder"),
        # What the training toolkit makes of an object that is no text.
        (f"CollectionConfigurations={[LOSSES] * 9}", r"json\.dumps"),
        ("{}", "asks for nothing"),
        ({"CollectionConfigurations": []}, "asks for nothing"),
        ({**CONFIG, "RuleConfigurations": []}, "RuleConfigurations.*may have"),
        ({**CONFIG, "S3OutputPath": "s3://a/b"}, "S3OutputPath.*CheckpointConfig"),
        ({**CONFIG, "LocalPath": 3}, "LocalPath is 3.*strings"),
        ({"CollectionConfigurations": LOSSES}, "no list"),
        ({"CollectionConfigurations": [LOSSES] * 21}, "no list of up to 20"),
        ({"CollectionConfigurations": ["losses"]}, r"\[0\] is no JSON object"),
        ({"CollectionConfigurations": [{"CollectionParameters": {}}]}, r"\[0\].*CollectionName"),
        ({"CollectionConfigurations": [LOSSES, {"CollectionName": ""}]}, r"\[1\].*Name is ''"),
        ({"CollectionConfigurations": [{**LOSSES, "Regex": "a"}]}, "'Regex'"),
        ({"CollectionConfigurations": [{**LOSSES, "CollectionParameters": 1}]}, "Parameters is no"),
        ({"HookParameters": ["a"]}, "HookParameters is no JSON object"),
        ({"HookParameters": {"save_interval": 5}}, r"\['save_interval'\] is 5.*strings"),
        ({"HookParameters": {"save_histogram": "no"}}, "'save_histogram'.*save_all"),
        (with_parameters(save_intervall="5"), "'save_intervall'.*none of"),
        (with_parameters(save_all="true"), "'save_all'.*none of"),
        (with_parameters(save_interval="0"), "save_interval.*'0'.*at least 1"),
        (with_parameters(save_interval="often"), "save_interval.*'often'"),
        (with_parameters(**{"eval.save_interval": "0.5"}), r"eval\.save_interval.*'0\.5'"),
        (with_parameters(save_steps="1;2"), "save_steps.*'1;2'.*whole numbers"),
        (with_parameters(start_step="-1"), "start_step.*'-1'"),
        (with_parameters(end_step=""), "end_step"),
    ],
)
def test_what_cannot_be_honoured_is_named(config, reason):
    with pytest.raises(ConfigError, match=reason):
        hookconfig.parse(config if isinstance(config, str) else json.dumps(config))


def test_what_smdebug_reads_is_taken():
    config = {
        "CollectionConfigurations": [
            {"CollectionName": "weights"},
            {"CollectionName": "gradients", "CollectionParameters": None},
            {
                "CollectionName": "mine",
                "CollectionParameters": {
                    "include_regex": "relu,bn",
                    "predict.save_steps": "1, 20,3",
                    "start_step": "0",
                    "global.end_step": "9",
                    "reductions": "mean,abs_l2_norm",
                    "save_histogram": "False",
                },
            },
        ],
        "HookParameters": {"save_all": "False", "include_workers": "all", "include_regex": ".*"},
        "LocalPath": "/tmp/tensors",
    }
    assert hookconfig.parse(json.dumps(config)) == config


def test_tensors_go_to_the_output_folder(tmp_path):
    file = hookconfig.write(CONFIG, tmp_path / "data")
    assert file == tmp_path / "data/debughookconfig.json"
    assert json.loads(file.read_text()) == {
        **CONFIG,
        "LocalPath": str(tmp_path / "data/debug-output"),
    }


def test_tensors_rather_go_to_the_checkpoints_below_the_jobs_name(tmp_path, job):
    checkpoints = {"S3Uri": "s3://bucket/debug", "LocalPath": str(tmp_path / "checkpoints")}
    (job / "checkpointconfig.json").write_text(json.dumps(checkpoints))
    file = hookconfig.write(CONFIG, tmp_path / "data")
    written = json.loads(file.read_text())["LocalPath"]
    assert written == str(tmp_path / "checkpoints/dogs-1/debug-output")
    assert file == tmp_path / "checkpoints/dogs-1/debughookconfig.json"


def test_a_local_path_is_taken_before_both(tmp_path, job):
    (job / "checkpointconfig.json").write_text(json.dumps({"LocalPath": str(tmp_path / "c")}))
    config = {**CONFIG, "LocalPath": str(tmp_path / "mine/tensors")}
    file = hookconfig.write(config, tmp_path / "data")
    assert file == tmp_path / "mine/debughookconfig.json"
    assert json.loads(file.read_text()) == config


def test_without_any_folder_the_way_out_is_told():
    with pytest.raises(ConfigError, match=r"LocalPath.*--output-data-dir"):
        hookconfig.write(CONFIG, None)


def test_an_earlier_attempts_tensors_are_removed_and_nothing_else(tmp_path):
    tensors = tmp_path / "debug-output"
    (tensors / "events/000000000000").mkdir(parents=True)
    hookconfig.write(CONFIG, tmp_path)
    assert not tensors.exists()
    tensors.mkdir()
    (tensors / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="holds other files"):
        hookconfig.write(CONFIG, tmp_path)
    assert (tensors / "thesis.txt").exists()
