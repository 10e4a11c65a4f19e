"""The form: nothing exists in it that the YAML cannot say, and nothing of the YAML is missing in it."""

import pytest
from sds3d.apps.web import form, quality
from small_run import small_config, small_folder

from sds3d.config.dump import plain
from sds3d.core.errors import ConfigError
from sds3d.jobs import configs
from sds3d.jobs.schema import GUIDANCE, REPRESENTATIONS, RunConfig

METHODS, KINDS = list(GUIDANCE.choices()), ("grid", "gaussians", "nerf", "tetmesh", "mesh", "image")


def flat(value, key=""):
    """Dotted keys of plain data."""
    if isinstance(value, dict) and value:
        for name, part in value.items():
            yield from flat(part, f"{key}.{name}" if key else name)
    else:
        yield key


@pytest.mark.parametrize("kind", KINDS)
def test_every_option_is_asked_for_once(kind):
    config = configs.from_mapping({"prompt": "a red car", "representation": kind})
    asked = [field.key for _, fields in form.sections(config) for field in fields]
    assert len(asked) == len(set(asked))
    left = {*form.ASKED_ABOVE, "prior.kind", "representation.kind", "guidance.method"}
    told = plain(config)
    for key in flat(told):
        if key not in left and key.partition(".")[0] not in form.ASKED_ABOVE:
            assert any(key == a or key.startswith(a + ".") for a in asked), key


@pytest.mark.parametrize("method", METHODS)
def test_a_field_that_is_left_alone_changes_nothing(method):
    if method in ("free",):
        pytest.skip("a free recipe has no defaults")
    try:
        config = configs.from_mapping({"prompt": "a red car", "guidance": method})
    except ConfigError:
        pytest.skip("asks for more than a method's name")
    values = {"prompt": "a red car", "guidance": method}
    for _, fields in form.sections(config):
        for field in fields:
            assert field.about or field.key, field
            values[field.key] = field.read(field.shown)
    again = configs.from_mapping({k: v for k, v in values.items() if v is not None})
    assert again == config


@pytest.mark.parametrize(
    "values",
    [
        {"prompt": "a red car"},
        {
            "prompt": "a red car",
            "seed": 3,
            "guidance": "csd",
            "guidance.omega1": 30,
            "representation": "gaussians",
        },
        {"representation.resolutions": [3, 6], "prompt": "null: [x] #1", "optimize.steps": 5},
        {"guidance": "sds", "guidance.cfg_scale": 6.0, "prompt": "say “hi”"},
    ],
)
def test_a_yaml_comes_back(values):
    text = form.to_yaml(values)
    assert form.from_yaml(text) == values
    assert configs.from_mapping(values) == configs.from_mapping(form.from_yaml(text))


def test_wrong_yaml_is_told_with_its_line():
    with pytest.raises(ConfigError, match=r"your YAML:2"):
        form.from_yaml("prompt: x\noptimise: 3")


def test_times_are_those_of_runs_alike(tmp_path):
    config = small_config(tmp_path)
    guessed = quality.seconds_per_step(tmp_path, config)
    assert guessed > 0
    folder = small_folder(tmp_path)
    folder.metrics_file.write_text('{"step": 1, "seconds": {"total": 7.0}}\n' * 5)
    assert quality.seconds_per_step(tmp_path, config) == 7.0
    other = small_config(tmp_path, guidance="csd")
    assert quality.seconds_per_step(tmp_path, other) != 7.0
    assert quality.steps(config, "Standard") == config.optimize.steps
    assert [label for label, _ in quality.told(tmp_path, config)] == [
        "Draft · about 20 s", "Standard · about 55 s", "High · about 2 min",
    ]  # fmt: skip


def test_prompts_in_three_forms():
    from sds3d.apps.web.tabs.batch import documents

    (lines,) = documents("a red car\n\n  a duck \n")
    assert configs.from_mapping(form.from_yaml(lines)).prompts == ("a red car", "a duck")
    assert documents("prompts: [a, b]") == ["prompts: [a, b]"]
    rows = documents('prompt,seed,guidance\na red car,3,csd\n"a duck, yellow",,\n')
    assert form.from_yaml(rows[0]) == {"prompt": "a red car", "seed": 3, "guidance": "csd"}
    assert form.from_yaml(rows[1]) == {"prompt": "a duck, yellow"}
    for wrong in ("", "  \n", "prompt,seed\na,1,2,3"):
        with pytest.raises(ConfigError):
            documents(wrong)


def test_a_comparison_names_its_runs():
    from sds3d.apps.web.tabs.compare import plan

    runs = plan("a red car", "grid", ["sds", "csd"], "0, 1", 5)
    assert [(r["guidance"], r["seed"]) for r in runs] == [("sds", 0), ("sds", 1), ("csd", 0), ("csd", 1)]
    for methods, seeds in (([], "0"), (["sds"], "x"), (["sds"], ""), (["sds"] * 4, "1,2,3,4")):
        with pytest.raises(ConfigError):
            plan("a red car", "grid", methods, seeds, None)


def test_all_kinds_are_offered():
    assert set(KINDS) <= set(REPRESENTATIONS.choices())
    assert isinstance(small_config("runs"), RunConfig)
