"""Writes the files of this folder with neuroconv and SpikeInterface, which the tests themselves do not need.

    pip install neuroconv spikeinterface ndx-pose && python make.py

Written with neuroconv 0.10.2, SpikeInterface 0.105.3, pynwb 4.2.0.
"""

from __future__ import annotations

import datetime
from pathlib import Path

FOLDER = Path(__file__).parent
START = datetime.datetime(2024, 5, 1, 9, tzinfo=datetime.UTC)


def about(name: str) -> dict:
    """Who and when, as a person who converts files states it."""
    animal = {"subject_id": name, "sex": "M", "species": "Mus musculus", "age": "P60D"}
    return {"NWBFile": {"session_start_time": START, "lab": "other"}, "Subject": animal}


def main() -> None:
    """Write all files."""
    import spikeinterface.full as si
    from neuroconv.tools.spikeinterface import write_sorting_analyzer_to_nwbfile
    from neuroconv.tools.testing import mock_interfaces

    made = {
        "neuroconv_sorting": mock_interfaces.MockSortingInterface(num_units=5, durations=(10.0,)),
        "neuroconv_poseestimation": mock_interfaces.MockPoseEstimationInterface(),
    }
    for name, interface in made.items():
        said = interface.get_metadata()
        for part, values in about(name).items():
            said[part] = {**said.get(part, {}), **values}
        interface.run_conversion(nwbfile_path=str(FOLDER / f"{name}.nwb"), metadata=said, overwrite=True)
    recording, sorting = si.generate_ground_truth_recording(durations=[10.0], num_channels=8, num_units=4, seed=0)
    analyzer = si.create_sorting_analyzer(sorting, recording, sparse=False)
    analyzer.compute(["random_spikes", "waveforms", "templates", "noise_levels", "quality_metrics", "template_metrics"])
    said = about("spikeinterface")
    said["NWBFile"] |= {"session_description": "x", "identifier": "x"}
    path = FOLDER / "spikeinterface_analyzer.nwb"
    write_sorting_analyzer_to_nwbfile(analyzer, nwbfile_path=path, metadata=said, overwrite=True)


if __name__ == "__main__":
    main()
