"""Wrong input through the whole workflow: one sentence, before anything expensive, and nothing half-made."""

import pytest
import xarray as xr

from tests.workflow import runs


@pytest.fixture
def source_file(source, tmp_path):
    """A data folder with one small file, and a configuration for it."""
    folder = tmp_path / "data"
    folder.mkdir()
    source.to_netcdf(folder / "a.nc")
    config = {
        "run": "tiny", "data": str(folder),
        "download": {"dataset": "tiny", "files": ["a.nc"], "rename": {"z": "z500", "t": "t850"}},
        "domain": {"channels": ["z500", "t850"],
                   "train": {"start": "2000-01-01T12:00", "end": "2000-12-31T12:00"},
                   "validation": {"start": "2001-01-01T12:00", "end": "2001-01-31T12:00"},
                   "test": {"start": "2001-02-01T12:00", "end": "2001-02-28T12:00"}},
    }
    return folder / "a.nc", config


@pytest.mark.parametrize(("changes", "says"), [
    ({"verify": {"resampels": 3}}, "verify.resampels: there is no such setting; did you mean resamples?"),
    ({"data": "/nowhere"}, "nothing matches /nowhere/a.nc"),
    ({"observe": {"networks": {"n": {"kind": "stations", "file": "s.csv"}}}}, "there is no"),
])
def test_a_wrong_configuration_starts_nothing(source_file, tmp_path, changes, says):
    done = runs.snakemake(tmp_path / "run", runs.merged(source_file[1], changes), check=False)
    assert done.returncode != 0 and says in done.stdout and "Traceback" not in done.stdout
    assert not (tmp_path / "run/results").exists()


def test_no_configuration_says_which_to_give(tmp_path):
    words = runs.command(tmp_path)
    at = words.index("--configfile")
    done = runs.warm_run(words[:at] + words[at + 2 :], capture_output=True)
    assert done.returncode != 0 and "add --configfile config/europe.yaml" in done.stdout + done.stderr


@pytest.mark.parametrize(("spoil", "target", "says"), [
    (lambda s: s.isel(time=[k for k in range(425) if k != 40]), "preprocess/fields.zarr/zarr.json",
     "a gap: no frame at 2000-02-10T12:00:00"),
    (lambda s: s.where(s.time != s.time[3]), "preprocess/fields.zarr/zarr.json", "has NaN in 1 frame"),
    (None, "preprocess/fields.zarr/zarr.json", "expected netCDF or Zarr"),
])
def test_a_spoilt_source_ends_in_one_sentence_and_nothing_half_made(source_file, tmp_path, source, spoil, target, says):
    path, config = source_file
    path.unlink()
    if spoil is None:
        path.write_text("no netCDF")
    else:
        spoil(source).to_netcdf(path)
    done = runs.snakemake(tmp_path / "run", config, f"results/tiny/{target}", check=False)
    assert done.returncode != 0 and says in done.stdout and "Traceback" not in done.stdout
    assert not (tmp_path / "run/results/tiny" / target).exists()


def test_a_network_that_observes_nothing_is_found_before_training(source_file, tmp_path):
    _, config = source_file
    config = runs.merged(config, {"observe": {"networks": {"n": {"share": 0.001}}}, "preprocess": {"annual_harmonics": 1}})
    done = runs.snakemake(tmp_path / "run", config, "results/tiny/observe/n/20010201T12.parquet", check=False)
    assert "has no station; raise its share" in done.stdout
    assert xr.open_zarr(tmp_path / "run/results/tiny/preprocess/fields.zarr", consolidated=False).sizes["time"] == 425
