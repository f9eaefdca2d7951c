"""The pose task with the real DeepLabCut: a tiny model is trained without a graphics processor, then the task runs it.

    python -m tests.ingest.agent.real_pose PYTHON

PYTHON is that of an environment with `pip install deeplabcut` (3.0.2, 3 GB). No weights are fetched: the model is
trained from nothing on a video of a moving spot, so that its points mean little; program, call and files are real.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from pathlib import Path

import pandas as pd

from ingest.programs.tasks import pose
from tests.ingest.agent import rigs

TRAIN = """
import sys
from pathlib import Path
import cv2, numpy as np, pandas as pd
import deeplabcut
from deeplabcut.pose_estimation_pytorch.models import PoseModel
from deeplabcut.utils.auxiliaryfunctions import read_config, write_config

build = PoseModel.build  # weights of others would have to be fetched
PoseModel.build = staticmethod(lambda config, weight_init=None, pretrained_backbone=False: build(config, weight_init))
work = Path(sys.argv[1])
writer = cv2.VideoWriter(str(work / "left.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 30, (128, 96))
rng, frames, truth = np.random.default_rng(0), [], []
for k in range(30):
    x, y = 64 + 40 * np.sin(k / 7), 48 + 25 * np.cos(k / 5)
    frame = rng.integers(0, 30, (96, 128, 3)).astype(np.uint8)
    cv2.circle(frame, (int(x), int(y)), 6, (255, 255, 255), -1)
    cv2.circle(frame, (int(x) + 15, int(y)), 4, (120, 120, 255), -1)
    writer.write(frame)
    frames.append(frame)
    truth.append((x, y, x + 15, y))
writer.release()
config = str(deeplabcut.create_new_project("spot", "lab", [str(work / "left.mp4")], str(work), copy_videos=True))
told = read_config(config)
told["bodyparts"], told["skeleton"] = ["nose tip", "tail"], []
write_config(config, told)
folder = Path(config).parent / "labeled-data/left"
folder.mkdir(parents=True, exist_ok=True)
names = [("labeled-data", "left", f"img{k:03d}.png") for k in range(0, 30, 3)]
for k, name in zip(range(0, 30, 3), names):
    cv2.imwrite(str(folder / name[2]), frames[k])
columns = pd.MultiIndex.from_product(
    [["lab"], ["nose tip", "tail"], ["x", "y"]], names=["scorer", "bodyparts", "coords"]
)
labels = pd.DataFrame(truth[::3], index=pd.MultiIndex.from_tuples(names), columns=columns)
labels.to_hdf(folder / "CollectedData_lab.h5", key="df_with_missing", mode="w")
labels.to_csv(folder / "CollectedData_lab.csv")
deeplabcut.create_training_dataset(config, net_type="resnet_50")
deeplabcut.train_network(config, device="cpu", epochs=1, save_epochs=1, batch_size=4)
(work / "config.txt").write_text(config)
"""
ANALYSE = """
import sys
import deeplabcut
config, video, output = sys.argv[1:]
deeplabcut.analyze_videos(config, [video], destfolder=output, save_as_csv=True, device="cpu", batch_size=4)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("python", help="of the environment with DeepLabCut")
    python = parser.parse_args().python
    os.environ |= {"DLClight": "True", "MPLBACKEND": "Agg"}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        for script, text in (("train.py", TRAIN), ("analyse.py", ANALYSE)):
            (work / script).write_text(text)
        subprocess.run([python, work / "train.py", work], check=True)
        video = work / "s/raw_video_data/_iblrig_leftCamera.raw.mp4"
        video.parent.mkdir(parents=True)
        (work / "left.mp4").rename(video)
        config = (work / "config.txt").read_text()
        command = [python, str(work / "analyse.py"), config, "{video}", "{output}"]
        pose.estimate(rigs.job(work, work / "s", {"label": "left", "folder": "raw_video_data"}, command))
        table = pd.read_parquet(work / "scratch/outputs/alf/_ibl_leftCamera.dlc.pqt")
        assert len(table) == 30 and "nose_tip_likelihood" in table.columns, table
        print(table.describe())


if __name__ == "__main__":
    main()
