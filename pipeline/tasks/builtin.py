"""The kinds that come with neurojoint, as data; `ingest` holds what they run."""

from __future__ import annotations

from pipeline.tasks.kinds import Kind, Needs

_VIDEO = "{folder}/_iblrig_{label}Camera.raw.mp4"

KINDS: tuple[Kind, ...] = (
    Kind(
        "register_raw", "1", "ingest.programs.tasks.raw:register",
        outputs=("raw_*/*", "_ibl_experiment.description.yaml"), needs=Needs(seconds=1800), priority=100,
        upload=("raw_*/*", "_ibl_experiment.description.yaml"),
        description="Register the description and the small raw files: settings, trials, sensors.",
    ),
    Kind(
        "compress_ephys", "1", "ingest.programs.tasks.ephys:compress",
        inputs=("{folder}/*.ap.bin|{folder}/*.ap.cbin",),
        outputs=("{folder}/*.cbin", "{folder}/*.ch"), required=("{folder}/*.ap.cbin", "{folder}/*.ap.ch"),
        each="probe", needs=Needs(cores=2, io=50, scratch=1.0, seconds=6 * 3600), priority=90, upload=(),
        description="Compress the recording of a probe without loss, and verify it.",
    ),
    Kind(
        "compress_video", "1", "ingest.programs.tasks.video:compress",
        inputs=("{folder}/_iblrig_{label}Camera.raw.avi|" + _VIDEO,),
        outputs=(_VIDEO,), required=(_VIDEO,),
        each="camera", needs=Needs(cores=2, io=30, scratch=1.0, seconds=12 * 3600), priority=90, upload=(),
        description="Compress the video of a camera to H.264, and check frames and times.",
    ),
    Kind(
        "compress_audio", "1", "ingest.programs.tasks.audio:compress",
        inputs=("{folder}/_iblrig_micData.raw.wav|{folder}/_iblrig_micData.raw.flac",),
        outputs=("{folder}/_iblrig_micData.raw.flac",), required=("{folder}/_iblrig_micData.raw.flac",),
        each="microphone", needs=Needs(seconds=3600), priority=10, upload=(),
        description="Compress the recording of the microphone without loss, and compare it.",
    ),
    Kind(
        "extract_trials", "1", "ingest.programs.tasks.behavior:trials",
        inputs=("{folder}/_iblrig_taskData.raw.jsonable", "{folder}/_iblrig_taskSettings.raw.json"),
        outputs=("{collection}/_ibl_trials.*",), required=("{collection}/_ibl_trials.table.pqt",),
        each="task", when=("has trials", "synchronised by bpod"), needs=Needs(seconds=1800), priority=90,
        description="Extract the trials of a task from the data of the rig.",
    ),
    Kind(
        "synchronise", "1", "ingest.programs.tasks.synchronise:recordings",
        inputs=("{folder}/*.nidq.cbin|{folder}/*.nidq.bin",),
        outputs=("{folder}/*.timestamps.npy", "{folder}/*/*.timestamps.npy", "{folder}/_spikeglx_sync.*.npy",
                 "{folder}/*/_spikeglx_sync.*.npy"),
        required=("{folder}/*.timestamps.npy",), upload=("{folder}/*", "{folder}/*/*"), parents=("compress_ephys",),
        when=("synchronised by nidq",), needs=Needs(memory=8192, io=30, seconds=4 * 3600), priority=80,
        description="Clocks of all recordings of a session by the pulses that they and the NIDQ saw.",
    ),
    Kind(
        "extract_trials_nidq", "1", "ingest.programs.tasks.synchronise:trials",
        inputs=("{folder}/_iblrig_taskData.raw.jsonable", "{folder}/_iblrig_taskSettings.raw.json"),
        outputs=("{collection}/_ibl_trials.*",), required=("{collection}/_ibl_trials.table.pqt",),
        each="task", when=("has trials", "synchronised by nidq"), needs=Needs(seconds=3600), priority=90,
        description="Extract the trials of a task, in the clock of the NIDQ.",
    ),
    Kind(
        "extract_wheel_nidq", "1", "ingest.programs.tasks.synchronise:wheel",
        inputs=("{folder}/_iblrig_encoderPositions.raw*.ssv", "{folder}/_iblrig_taskData.raw.jsonable"),
        outputs=("{collection}/_ibl_wheel.*", "{collection}/_ibl_wheelMoves.*"),
        required=("{collection}/_ibl_wheel.position.npy", "{collection}/_ibl_wheel.timestamps.npy"),
        each="task", when=("has trials", "synchronised by nidq"), needs=Needs(seconds=3600), priority=90,
        description="Extract position and movements of the wheel, in the clock of the NIDQ.",
    ),
    Kind(
        "extract_wheel", "1", "ingest.programs.tasks.behavior:wheel",
        inputs=("{folder}/_iblrig_encoderPositions.raw*.ssv", "{folder}/_iblrig_taskData.raw.jsonable"),
        outputs=("{collection}/_ibl_wheel.*", "{collection}/_ibl_wheelMoves.*"),
        required=("{collection}/_ibl_wheel.position.npy", "{collection}/_ibl_wheel.timestamps.npy"),
        each="task", when=("has trials", "synchronised by bpod"), needs=Needs(seconds=1800), priority=90,
        description="Extract position and movements of the wheel from the data of the rig.",
    ),
    Kind(
        "camera_times", "1", "ingest.programs.tasks.camera:times",
        inputs=("{folder}/_iblrig_{label}Camera.timestamps.ssv|{folder}/_iblrig_{label}Camera.frameData.bin",),
        outputs=("alf/_ibl_{label}Camera.times.npy",), required=("alf/_ibl_{label}Camera.times.npy",),
        parents=("compress_video",), each="camera", when=("synchronised by bpod",), needs=Needs(seconds=3600),
        priority=40, description="Times of the frames of a camera in the clock of the session.",
    ),
    Kind(
        "camera_times_nidq", "1", "ingest.programs.tasks.camera:times_nidq",
        inputs=("{folder}/_iblrig_{label}Camera.timestamps.ssv|{folder}/_iblrig_{label}Camera.frameData.bin|"
                "{folder}/_iblrig_{label}Camera.frame_counter.bin",),
        outputs=("alf/_ibl_{label}Camera.times.npy",), required=("alf/_ibl_{label}Camera.times.npy",),
        parents=("compress_video",), each="camera", when=("synchronised by nidq",), needs=Needs(seconds=3600),
        priority=40, description="Times of the frames of a camera in the clock of the NIDQ.",
    ),
    Kind(
        "motion_energy", "1", "ingest.programs.tasks.video:motion_energy",
        inputs=(_VIDEO,), outputs=("alf/{label}Camera.ROIMotionEnergy.npy", "alf/{label}ROIMotionEnergy.position.npy"),
        required=("alf/{label}Camera.ROIMotionEnergy.npy",),
        parents=("compress_video",), each="camera", needs=Needs(cores=2, seconds=6 * 3600), priority=30,
        description="How much moves from frame to frame in a region of the video.",
    ),
    Kind(
        "pose", "1", "ingest.programs.tasks.pose:estimate",
        inputs=(_VIDEO,), outputs=("alf/_ibl_{label}Camera.*.pqt",), required=("alf/_ibl_{label}Camera.*.pqt",),
        parents=("compress_video",), each="camera", needs=Needs(memory=16384, seconds=24 * 3600,
                                                                environment="pose"), priority=30,
        description="Pose estimation by a program in an environment of its own (DeepLabCut, Lightning Pose, SLEAP).",
    ),
    Kind(
        "pupil", "1", "ingest.programs.tasks.pose:pupil",
        inputs=("alf/_ibl_{label}Camera.dlc.pqt|alf/_ibl_{label}Camera.lightningPose.pqt|"
                "alf/_ibl_{label}Camera.pose.pqt", _VIDEO),
        outputs=("alf/_ibl_{label}Camera.features.pqt",), required=("alf/_ibl_{label}Camera.features.pqt",),
        parents=("pose",), each="camera", needs=Needs(seconds=1800), priority=30,
        description="Diameter of the pupil by the points that pose estimation found.",
    ),
    Kind(
        "raw_ephys_qc", "1", "ingest.programs.tasks.ephys:quality",
        inputs=("{folder}/*.ap.cbin|{folder}/*.ap.bin",),
        outputs=("{folder}/_iblqc_ephysChannels.*.npy",),
        required=("{folder}/_iblqc_ephysChannels.apRMS.npy", "{folder}/_iblqc_ephysChannels.labels.npy"),
        parents=("compress_ephys",), each="probe", needs=Needs(cores=2, memory=8192, seconds=4 * 3600), priority=10,
        upload=("raw_ephys_data/*",), description="Noise, spike rate and state of each channel of a probe.",
    ),
    Kind(
        "sort_spikes", "1", "ingest.programs.tasks.ephys:sort",
        inputs=("{folder}/*.ap.cbin|{folder}/*.ap.bin",), outputs=("alf/{label}/*",),
        required=("alf/{label}/*/spikes.times.npy", "alf/{label}/*/spikes.clusters.npy"),
        parents=("compress_ephys", "synchronise"), each="probe",
        needs=Needs(cores=4, memory=32768, io=50, scratch=2.5, seconds=48 * 3600, environment="sorting"),
        priority=60, description="Spike sorting by a program in an environment of its own.",
    ),
)  # fmt: skip
