"""One small real file of each format, and what its reader needs; `nnja` has no files."""

import gzip
from typing import NamedTuple

import pandas as pd

from hindsight.settings.reports import TableFormat
from tests.observe.sources import real, test_isd
from tests.observe.sources.test_table import EUROPE


class Sample(NamedTuple):
    source: str
    name: str  # of the file that is written
    content: bytes
    table: TableFormat = TableFormat()
    stations: str | None = None


def _cut(name: str, lines: int) -> bytes:
    return b"\n".join(gzip.decompress(real.file(name).read_bytes()).splitlines()[:lines]) + b"\n"


def table(tmp_path) -> Sample:
    rows = pd.read_parquet(real.file("obs_europe_daily/obs_daily.parquet")).head(2000)
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=500)
    stations = str(real.file("obs_europe_daily/stations.csv"))
    return Sample("table", "t.parquet", (tmp_path / "rows.parquet").read_bytes(), EUROPE, stations)


def csv(tmp_path) -> Sample:
    rows = pd.read_parquet(real.file("obs_europe_daily/obs_daily.parquet")).head(300)
    stations = str(real.file("obs_europe_daily/stations.csv"))
    return Sample("table", "t.csv", rows.to_csv(index=False).encode(), EUROPE, stations)


def madis(tmp_path) -> Sample:
    return Sample("madis", "m.nc", gzip.decompress(real.file("obs_madis_20050826/2005082600_rawin.nc.gz").read_bytes()))


def madis_gzipped(tmp_path) -> Sample:
    return Sample("madis", "m.nc.gz", real.file("obs_madis_20050826/2005082600_marine.nc.gz").read_bytes())


def metar(tmp_path) -> Sample:
    return Sample("metar", "m.parquet", real.file("obs_metar_202001/2020-01.parquet").read_bytes())


def isd(tmp_path) -> Sample:
    return Sample("isd", "i", "\n".join([test_isd.record()] * 40).encode() + b"\n")


def isd_lite(tmp_path) -> Sample:
    line = "2008 01 01 12   -57   -89 10234   270    51     8 -9999 -9999\n"
    stations = tmp_path / "isd-history.csv"
    stations.write_bytes(gzip.decompress(real.file(test_isd.LIST).read_bytes()))
    return Sample("isd", "037720-99999-2008", line.encode() * 40, stations=str(stations))


def igra(tmp_path) -> Sample:
    return Sample("igra", "i.zip", real.file("stations/igra2_NIM00065201-data.txt.zip").read_bytes())


def bufr(tmp_path) -> Sample:
    content = real.file("obs_synop_bufr/synop_europe_20181120_12z.bufr").read_bytes()
    return Sample("bufr", "s.bufr", content[: content.index(b"BUFR", 3000)])


def prepbufr(tmp_path) -> Sample:
    rows = pd.read_parquet(real.file("obs_prepbufr_19890101/prepbufr_19890101.parquet")).head(4000)
    rows.to_parquet(tmp_path / "rows.parquet", row_group_size=1000)
    return Sample("prepbufr", "p.parquet", (tmp_path / "rows.parquet").read_bytes())


EVERY = (table, csv, madis, madis_gzipped, metar, isd, isd_lite, igra, bufr, prepbufr)
