"""The image of the web page's Create tab: kept by person, refused by type and size, shown, part of the form's YAML."""

import pytest
import torch
import yaml
from reference_cases import picture_file, two_halves
from web_cases import service_for

from sds3d.core.errors import ConfigError, Sds3dError
from sds3d.jobs import configs

pytest.importorskip("gradio", reason="the web page needs the extra sds3d[web]")

from sds3d.apps.web import form, page

create, picture = page.create, page.create.picture

BASICS = ("", "", 0, "embedded", "sds", "grid", "Standard")


@pytest.fixture
def service(tmp_path):
    return service_for(tmp_path / "runs", local=False)


def test_a_picture_is_kept_for_its_person_and_goes_into_their_run(service, tmp_path):
    kept = picture.keep(service, "anna", picture_file(tmp_path))
    assert kept.parent == service.uploads("anna")
    text = form.to_yaml(create._values(service, "a red car", *BASICS[1:], {picture.KEY: str(kept)}))
    assert service.read("anna", text).reference.image == str(kept)
    with pytest.raises(ConfigError, match="names a file of the server"):
        service.read("ben", text)
    folders, refused = service.submit("anna", text)
    assert not refused
    assert (folders[0].path / f"reference_{folders[0].config().reference.sha256[:8]}.png").is_file()


def test_other_files_are_refused(service, tmp_path, monkeypatch):
    other = tmp_path / "notes.txt"
    other.write_text("no picture")
    with pytest.raises(ConfigError, match="pictures are"):
        picture.keep(service, "anna", other)
    monkeypatch.setattr(picture, "MOST_BYTES", 10)
    with pytest.raises(ConfigError, match="pictures are"):
        picture.keep(service, "anna", picture_file(tmp_path))
    assert not service.uploads("anna").exists()


def test_what_is_shown_is_the_object_alone(tmp_path):
    shown = torch.from_numpy(picture.seen(create_options(picture_file(tmp_path)))).float() / 255
    assert shown.shape[2] == 4
    assert float(shown[0, 0, 3]) == 0.0
    side = len(shown) // 2
    assert torch.allclose(shown[side, side // 2, :3], two_halves()[:, 48, 24], atol=0.03)
    with pytest.raises(Sds3dError, match="shows no object"):
        picture.seen(create_options(picture_file(tmp_path, "white.png", torch.ones(3, 32, 32))))


def create_options(file):
    from sds3d.jobs.reference_options import ReferenceOptions

    return ReferenceOptions(image=str(file))


def test_the_form_and_its_yaml_hold_the_picture(tmp_path):
    file = picture_file(tmp_path)
    values = {
        "prompt": "a red car",
        picture.KEY: str(file),
        "reference.weight": 2.0,
        "reference.azimuth_deg": 30.0,
    }
    text = form.to_yaml(values)
    assert yaml.safe_load(text)["reference"] == {"image": str(file), "weight": 2.0, "azimuth_deg": 30.0}
    assert form.from_yaml(text) == values
    told = dict(form.sections(configs.from_mapping(values)))
    assert {f.key for f in told["reference"]} >= {
        "reference.weight",
        "reference.azimuth_deg",
        "reference.fit",
    }
    assert picture.KEY not in {f.key for group in told.values() for f in group}
    assert picture.without(values) == {"prompt": "a red car"}
    assert "reference" not in dict(form.sections(configs.from_mapping({"prompt": "a red car"})))


def test_no_prompt_is_needed_beside_a_picture(service, tmp_path):
    known = create._values(service, *BASICS, {picture.KEY: str(picture_file(tmp_path))})
    assert "prompt" not in known
    assert create._values(service, *BASICS, {})["prompt"] == ""
