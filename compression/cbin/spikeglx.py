"""SpikeGLX headers (`.meta`): channels, sampling rate, volts per bit, probe and channel map of recordings made with
Neuropixels probes (phase 3A, 1.0, 2.0 and relatives), National Instruments devices (`nidq`) or the OneBox (`obx`)."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from .errors import CbinError

MAX_META_BYTES = 16 << 20  # headers are tens of kB; anything larger is another kind of file
MAX_CHANNELS = 1 << 20
DATA_SUFFIXES = (".zarr.zip", ".bin", ".cbin", ".ch", ".dat", ".cdat")
_PLAIN_NP1 = frozenset(  # part numbers of probes whose sites lie as those of the first Neuropixels 1.0
    {"NP1000", "NP1001", *(f"NP101{i}" for i in range(5)), "PRB_1_4_0480_1", "PRB_1_4_0480_1_C", "PRB_1_2_0480_2"}
)
FIXED_GAINS = {21: 80, 24: 80, 2003: 100, 2004: 100, 2013: 100, 2014: 100, 2020: 100, 2021: 100}  # by probe type

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_GROUP = re.compile(r"\(([^()]*)\)")


class MetaError(CbinError):
    """A `.meta` file is missing, malformed or lacks a key; the message names the file and the line or key."""


@dataclass(frozen=True, eq=False)
class Meta:
    """What a SpikeGLX header says. Arrays have one entry per saved channel, in the order of the file's columns."""

    path: Path
    fields: Mapping[str, str] = field(repr=False)  # every key as it stands, without the leading tilde
    text: str = field(repr=False)  # the whole file

    def __post_init__(self) -> None:
        for name in ("kind", "n_channels", "sample_rate", "channel_ids", "volts_per_bit", "file_size"):
            getattr(self, name)

    @cached_property
    def kind(self) -> str:
        """Device: 'imec', 'nidq' or 'obx'."""
        kind = self._get("typeThis")
        if kind not in _DEVICES:
            raise self._error("typeThis", f"is {kind!r}, not one of {', '.join(_DEVICES)}")
        return kind

    @property
    def band(self) -> str:
        """'ap', 'lf' or 'aplf' for probes, else the device."""
        if self.kind != "imec":
            return self.kind
        return "".join(name for name in ("ap", "lf") if self.channel_kinds.count(name.upper())) or "imec"

    @cached_property
    def n_channels(self) -> int:
        """Saved channels, sync included."""
        n = self._integer("nSavedChans", minimum=1)
        if n > MAX_CHANNELS:
            raise self._error("nSavedChans", f"is {n}, more channels than any device has")
        return n

    @cached_property
    def sample_rate(self) -> float:
        """Hz."""
        return self._number(_DEVICES[self.kind].rate, positive=True)

    @cached_property
    def channel_kinds(self) -> list[str]:
        """'AP', 'LF', 'SY' (probes), 'MN', 'MA', 'XA', 'DW' (nidq), 'XA', 'DW', 'SY' (obx), per saved channel."""
        device = _DEVICES[self.kind]
        counts = self._integers(device.saved, len(device.kinds))
        if sum(counts) != self.n_channels:
            raise self._error(device.saved, f"counts {sum(counts)} channels but nSavedChans={self.n_channels}")
        return [kind for kind, count in zip(device.kinds, counts, strict=True) for _ in range(count)]

    @cached_property
    def channel_ids(self) -> np.ndarray:
        """Number of each saved channel among all that were acquired (int64)."""
        text = self.fields.get("snsSaveChanSubset", "all").strip()
        if text in ("", "all"):
            return self._all_ids()
        ids: list[int] = []
        for part in text.split(","):
            match = re.fullmatch(r"\s*(\d{1,9})\s*(?::\s*(\d{1,9})\s*)?", part)
            if not match:
                raise self._error("snsSaveChanSubset", f"has {part!r}, which is neither a channel nor a range")
            first, last = int(match[1]), int(match[2] or match[1])
            if last - first >= self.n_channels:
                raise self._error("snsSaveChanSubset", f"names more than the {self.n_channels} channels of nSavedChans")
            ids.extend(range(first, last + 1))
        if len(ids) != self.n_channels:
            raise self._error("snsSaveChanSubset", f"names {len(ids)} channels but nSavedChans={self.n_channels}")
        return np.array(ids, dtype=np.int64)

    @cached_property
    def volts_per_bit(self) -> np.ndarray:
        """Factor from int16 to volts at the electrode or input, per saved channel (float64); 1 for digital words.

        V = bits * range / max_int / gain (SpikeGLX, Metadata guide, `imAiRangeMax`, `niAiRangeMax`, `obAiRangeMax`).
        """
        device = _DEVICES[self.kind]
        analog = [kind for kind in self.channel_kinds if kind not in ("SY", "DW")]
        factors = np.ones(self.n_channels)
        if not analog:
            return factors
        default = 8192 if self.kind == "imec" and self.probe_type in FIXED_GAINS else device.default_max_int
        step = self._number(device.range, positive=True) / self._integer(device.max_int, 1, default)
        factors[: len(analog)] = step / self._gains(analog)
        return factors

    @property
    def sync_channels(self) -> tuple[int, ...]:
        """Columns that hold digital words (sync or digital lines)."""
        return tuple(i for i, kind in enumerate(self.channel_kinds) if kind in ("SY", "DW"))

    @cached_property
    def probe_type(self) -> int | None:
        """`imDatPrb_type`; None for phase 3A probes and other devices."""
        return self._integer("imDatPrb_type") if self.fields.get("imDatPrb_type", "").strip() else None

    @property
    def probe_name(self) -> str | None:
        """Generation: '3A', 'NP1', 'NP2.1', 'NP2.4', or the part number for others; None for other devices."""
        if self.kind != "imec":
            return None
        if self.probe_type is None:
            return "3A" if "imProbeOpt" in self.fields or "imProbeSN" in self.fields else None
        part_number = self.fields.get("imDatPrb_pn", "").strip()
        if self.probe_type == 0 and part_number and part_number not in _PLAIN_NP1:
            return part_number  # the type is that of a family: NP1015 to NP1017 are linear
        known = {0: "NP1", 21: "NP2.1", 2003: "NP2.1", 2004: "NP2.1", 24: "NP2.4", 2013: "NP2.4", 2014: "NP2.4"}
        return known.get(self.probe_type) or part_number or f"type {self.probe_type}"

    @property
    def serial(self) -> str | None:
        """Serial number of the probe."""
        return next((self.fields[key] for key in ("imDatPrb_sn", "imProbeSN") if self.fields.get(key)), None)

    @cached_property
    def channel_names(self) -> list[str]:
        """'AP0', 'SY0', … from the channel map, else kind and acquired number."""
        names = {i: name for i, (name, _) in self._map_entries.items()}
        pairs = zip(self.channel_ids.tolist(), self.channel_kinds, strict=True)
        return [names.get(i, f"{kind}{i}") for i, kind in pairs]

    @cached_property
    def channel_map(self) -> np.ndarray | None:
        """Place of each saved channel in the user's display order (int64); None where the header has no map for it."""
        order = [self._map_entries.get(i, (None, None))[1] for i in self.channel_ids.tolist()]
        return None if None in order else np.array(order, dtype=np.int64)

    @cached_property
    def file_size(self) -> int | None:
        """Bytes of the raw file; None while acquisition runs."""
        return self._integer("fileSizeBytes", minimum=0) if self.fields.get("fileSizeBytes", "").strip() else None

    @property
    def n_samples(self) -> int | None:
        """Samples per channel, from the stated file size; None while acquisition runs."""
        return None if self.file_size is None else self.file_size // (2 * self.n_channels)

    @property
    def sha1(self) -> str | None:
        """SHA-1 of the raw file in lower case; None where none is stated (CatGT writes 0)."""
        text = self.fields.get("fileSHA1", "").strip().lower()
        return text if re.fullmatch("[0-9a-f]{40}", text) else None

    def _all_ids(self) -> np.ndarray:
        """Acquired numbers of the saved channels where all channels of their kinds were saved."""
        device, saved = _DEVICES[self.kind], self.channel_kinds
        counts = {kind: saved.count(kind) for kind in device.kinds}
        if self.fields.get(device.acquired, "").strip():
            acquired = dict(zip(device.kinds, self._integers(device.acquired, len(device.kinds)), strict=True))
        else:
            acquired = counts
        ids: list[int] = []
        first = 0
        for kind in device.kinds:
            ids.extend(range(first, first + counts[kind]))
            first += max(acquired[kind], counts[kind])
        return np.array(ids, dtype=np.int64)

    @cached_property
    def _map_entries(self) -> dict[int, tuple[str, int]]:
        """Acquired channel number -> name and place, from `~snsChanMap`, whose entries read `(AP0;0:0)`."""
        entries = {}
        for group in _GROUP.findall(self.fields.get("snsChanMap", ""))[1:]:
            match = re.fullmatch(r"([^;]*);(\d{1,9}):(\d{1,9})", group)
            if not match:
                raise self._error("~snsChanMap", f"has the entry ({group}), not (name;channel:place)")
            entries[int(match[2])] = (match[1], int(match[3]))
        return entries

    def _gains(self, analog: list[str]) -> np.ndarray:
        """Amplification of each analog channel."""
        if self.kind == "obx":
            return np.ones(len(analog))
        if self.kind == "nidq":
            named = {"MN": "niMNGain", "MA": "niMAGain"}
            by_kind = {kind: self._number(named[kind], positive=True) for kind in set(analog) if kind in named}
            return np.array([by_kind.get(kind, 1.0) for kind in analog])
        return self._probe_gains(analog)

    def _probe_gains(self, analog: list[str]) -> np.ndarray:
        header, *entries = [group.replace(",", " ").split() for group in _GROUP.findall(self._get("imroTbl"))] or [[]]
        if self.probe_type == 1110 and len(header) >= 5:  # one gain for all channels, in the table's header
            by_kind = {"AP": header[3], "LF": header[4]}
            return np.array([self._gain(by_kind[kind], f"({' '.join(header)})") for kind in analog])
        if self.probe_type is None or (entries and len(entries[0]) == 6):  # (channel bank reference AP-gain LF-gain …)
            table = {int(e[0]): e for e in entries if len(e) >= 5 and _is_count(e[0])}
            return np.array([self._table_gain(table, i, kind) for i, kind in enumerate(analog)])
        if self.fields.get("imChan0apGain", "").strip():
            return np.full(len(analog), self._number("imChan0apGain", positive=True))
        if self.probe_type not in FIXED_GAINS:
            raise self._error("imDatPrb_type", f"is {self.probe_type}, a probe whose gain is not known")
        return np.full(len(analog), float(FIXED_GAINS[self.probe_type]))

    def _table_gain(self, table: dict[int, list[str]], column: int, kind: str) -> float:
        channel = int(self.channel_ids[column])
        if kind == "LF":
            acquired = self.fields.get("acqApLfSy", "").strip()
            channel -= self._integers("acqApLfSy", 3)[0] if acquired else self.channel_kinds.count("AP")
        if channel not in table:
            raise self._error("~imroTbl", f"has no gains for channel {channel}")
        return self._gain(table[channel][3 if kind == "AP" else 4], f"({' '.join(table[channel])})")

    def _gain(self, text: str, entry: str) -> float:
        if not (_is_count(text) and int(text)):
            raise self._error("~imroTbl", f"has the gain {text!r} in {entry}")
        return float(text)

    def _get(self, key: str) -> str:
        if not self.fields.get(key, "").strip():
            raise self._error(key, "is missing")
        return self.fields[key].strip()

    def _number(self, key: str, positive: bool = False) -> float:
        try:
            value = float(self._get(key))
        except ValueError:
            raise self._error(key, f"is {self.fields[key]!r}, not a number") from None
        if not np.isfinite(value) or (positive and value <= 0):
            raise self._error(key, f"is {self.fields[key]!r}, not a positive number")
        return value

    def _integer(self, key: str, minimum: int = 0, default: int | None = None) -> int:
        if default is not None and not self.fields.get(key, "").strip():
            return default
        value = self._number(key)
        if value != int(value) or value < minimum:
            raise self._error(key, f"is {self.fields[key]!r}, not an integer of at least {minimum}")
        return int(value)

    def _integers(self, key: str, n: int) -> list[int]:
        parts = [part.strip() for part in self._get(key).split(",")]
        if len(parts) != n or not all(map(_is_count, parts)):
            raise self._error(key, f"is {self.fields[key]!r}, not {n} counts")
        return [int(part) for part in parts]

    def _error(self, key: str, problem: str) -> MetaError:
        return MetaError(f"{key} {problem}.", file=self.path)


@dataclass(frozen=True)
class _Device:
    """Names of the keys that differ between acquisition devices."""

    rate: str
    range: str
    max_int: str
    default_max_int: int
    acquired: str
    saved: str
    kinds: tuple[str, ...]  # in the order of the counts and of the columns


_DEVICES = {
    "imec": _Device("imSampRate", "imAiRangeMax", "imMaxInt", 512, "acqApLfSy", "snsApLfSy", ("AP", "LF", "SY")),
    "nidq": _Device(
        "niSampRate", "niAiRangeMax", "niMaxInt", 32768, "acqMnMaXaDw", "snsMnMaXaDw", ("MN", "MA", "XA", "DW")
    ),
    "obx": _Device("obSampRate", "obAiRangeMax", "obMaxInt", 32768, "acqXaDwSy", "snsXaDwSy", ("XA", "DW", "SY")),
}


def read_meta(path: str | os.PathLike[str]) -> Meta:
    """Read a `.meta` file, or the one that belongs to a data file.

    Parameters
    ----------
    path : a `.meta` file, or a raw or compressed data file whose header lies beside it

    Raises
    ------
    MetaError : no such file, a line that is not `key=value`, a key missing or with an impossible value

    Examples
    --------
    >>> import tempfile
    >>> from cbin.synthetic import write_recording
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     meta = read_meta(write_recording(Path(folder) / "a.imec0.ap.bin", 0.1, n_channels=9))
    >>> meta.n_channels, meta.sample_rate, meta.probe_name, meta.sync_channels
    (9, 30000.0, 'NP1', (8,))
    >>> float(meta.volts_per_bit[0]) * 1e6
    2.34375
    """
    path = Path(path)
    if path.suffix != ".meta":
        header = find_meta(path)
        if header is None:
            raise MetaError("there is no .meta file beside it.", file=path, remedy="Give the channels and the rate.")
        path = header
    try:
        if path.stat().st_size > MAX_META_BYTES:
            raise MetaError(f"{path.stat().st_size} bytes is too large for a SpikeGLX header.", file=path)
        content = path.read_bytes()
    except OSError as error:
        raise MetaError(f"cannot be read: {error.strerror}.", file=path) from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("latin-1")
    return parse_meta(text, path)


def parse_meta(text: str, path: str | os.PathLike[str] = "<text>") -> Meta:
    """The same from the header's text; `path` only names it in errors."""
    fields = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        key, equals, value = line.partition("=")
        if not equals or not key.strip():
            shown = line if len(line) <= 60 else line[:57] + "..."
            raise MetaError(f"line {number} is not key=value: {shown!r}.", file=path)
        fields[key.strip().removeprefix("~")] = value
    return Meta(Path(path), fields, text)


def find_meta(path: str | os.PathLike[str]) -> Path | None:
    """The `.meta` beside a data file: the same name up to the suffix, UUID parts (`x.ap.<uuid>.cbin`) aside.

    Raises
    ------
    MetaError : several headers fit the name

    Examples
    --------
    >>> find_meta("nowhere/x.ap.bin") is None
    True
    """
    path = Path(path)
    exact = path.with_name(data_stem(path) + ".meta")
    if exact.is_file():
        return exact
    if not path.parent.is_dir():
        return None
    wanted = _bare(data_stem(path))
    headers = sorted(other for other in path.parent.glob("*.meta") if _bare(other.stem) == wanted)
    if len(headers) > 1:
        raise MetaError(f"several headers fit: {', '.join(other.name for other in headers)}.", file=path)
    return headers[0] if headers else None


def data_stem(path: str | os.PathLike[str]) -> str:
    """The name of a data file without the suffix that says how it is stored.

    Examples
    --------
    >>> data_stem("a_g0_t0.imec0.ap.zarr.zip"), data_stem("a_g0_t0.imec0.ap.cbin")
    ('a_g0_t0.imec0.ap', 'a_g0_t0.imec0.ap')
    """
    name = Path(path).name
    return next((name.removesuffix(suffix) for suffix in DATA_SUFFIXES if name.endswith(suffix)), name)


def _bare(stem: str) -> str:
    """A name without the parts that are UUIDs or mark a streamed piece."""
    return ".".join(part for part in stem.split(".") if not _UUID.fullmatch(part) and part != "stream")


def _is_count(text: str) -> bool:
    return text.isdecimal() and len(text) < 10
