"""A card behind the names of XRT's Python module, as strict as its documentation, for tests of the client.

Host and card have memories of their own, so that data not synced is not there. Semantics are those of pyxrt.cpp and
of xrt_kernel.h; what a kernel computes is given by the test.
"""

from __future__ import annotations

import enum
import re
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np


class Direction(enum.Enum):
    XCL_BO_SYNC_BO_TO_DEVICE = 0
    XCL_BO_SYNC_BO_FROM_DEVICE = 1


class State(enum.Enum):
    ERT_CMD_STATE_NEW = 1
    ERT_CMD_STATE_QUEUED = 2
    ERT_CMD_STATE_COMPLETED = 4
    ERT_CMD_STATE_ERROR = 5
    ERT_CMD_STATE_SUBMITTED = 7
    ERT_CMD_STATE_TIMEOUT = 8


class Access(enum.Enum):
    exclusive = 0
    shared = 1


class Flags(enum.Enum):
    normal = 0


@dataclass
class Card:
    """One card. fabric: (images' bytes, frames) -> results' bytes. units: kernel -> its compute unit.

    fault: of the next runs. loads, open_units, live: what a test looks at.
    """

    fabric: Callable[[np.ndarray, int], bytes]
    units: dict[str, str] = field(default_factory=lambda: {"Part_0": "idma_0", "Part_1": "Part_1", "Part_2": "odma_0"})
    fault: State | None = None
    held: str | None = None  # uuid of an image that another program keeps on the card
    loads: list[str] = field(default_factory=list)
    open_units: set[str] = field(default_factory=set)
    live: int = 0
    runs: dict[str, Any] = field(default_factory=dict)

    def module(self) -> types.ModuleType:
        """Return what ``import pyxrt`` gives."""
        made = types.ModuleType("pyxrt")
        card = self

        class Uuid:
            def __init__(self, text: str) -> None:
                self._text = text

            def to_string(self) -> str:
                return self._text

        class KernelInfo:
            def __init__(self, name: str) -> None:
                self._name = name

            def get_name(self) -> str:
                return self._name

        class Xclbin:
            def __init__(self, path: str) -> None:
                self._text = Path(path).read_text()
                if not self._text.startswith("xclbin2 "):
                    raise RuntimeError("Invalid xclbin")

            def get_uuid(self) -> Uuid:
                return Uuid(self._text.split()[1])

            def get_kernels(self) -> list[KernelInfo]:
                return [KernelInfo(name) for name in card.units]

        class Device:
            def __init__(self, index: int) -> None:
                if index != 0:
                    raise RuntimeError(f"Could not open device with index '{index}'")

            def load_xclbin(self, image: Xclbin) -> Uuid:
                card.loads.append(image.get_uuid().to_string())
                return image.get_uuid()

            def get_xclbin_uuid(self) -> Uuid:
                return Uuid(card.held or card.loads[-1])

        class Kernel:
            exclusive, shared = Access.exclusive, Access.shared

            def __init__(self, device: Device, uuid: Uuid, name: str, mode: Access = Access.shared) -> None:
                if uuid.to_string() != card.loads[-1]:
                    raise RuntimeError("xclbin mismatch: uuid is not that of the loaded image")
                found = re.fullmatch(r"(\w+)(?::\{(\w+)\})?", name)
                assert found is not None
                self.opened = False
                self.role = card.units.get(found[1], "")
                if not self.role or found[2] not in (None, self.role):
                    raise RuntimeError(f"No compute units matching '{name}'")
                if self.role in card.open_units and mode is Access.exclusive:
                    raise RuntimeError(f"failed to open CU context '{self.role}': Device or resource busy")
                card.open_units.add(self.role)
                self.opened = True

            def __del__(self) -> None:
                if getattr(self, "opened", False):
                    card.open_units.discard(self.role)

            def group_id(self, argument: int) -> int:
                if argument != 0:
                    raise IndexError(f"argument {argument} is no global memory")
                return 10 + list(card.units.values()).index(self.role)

        class Bo:
            normal = Flags.normal

            def __init__(self, device: Device, size: int, flags: Flags, group: int) -> None:
                self.group = group
                self.host, self.card = np.zeros(size, np.uint8), np.full(size, 0xA5, np.uint8)
                card.live += 1

            def __del__(self) -> None:
                card.live -= 1

            def map(self) -> memoryview:
                return memoryview(self.host)

            def sync(self, direction: Direction, size: int, offset: int) -> None:
                if offset + size > len(self.host):
                    raise RuntimeError("Invalid size or offset when syncing BO")
                part = slice(offset, offset + size)
                if direction is Direction.XCL_BO_SYNC_BO_TO_DEVICE:
                    self.card[part] = self.host[part]
                else:
                    self.host[part] = self.card[part]

        class Run:
            def __init__(self, kernel: Kernel) -> None:
                self.kernel, self.arguments, self.started = kernel, {}, False

            def set_arg(self, index: int, value: Any) -> None:
                wanted: Any = {0: Bo, 1: int}.get(index)
                if wanted is None or not isinstance(value, wanted):
                    raise RuntimeError(f"kernel argument {index}: cannot take {type(value).__name__}")
                if index == 0 and value.group != self.kernel.group_id(0):
                    raise RuntimeError("Kernel argument has wrong memory bank connectivity")
                self.arguments[index] = value

            def start(self) -> None:
                if sorted(self.arguments) != [0, 1]:
                    raise RuntimeError("not all kernel arguments are set")
                self.started = True
                card.runs[self.kernel.role] = self
                # Results are there only when both ends of the stream run, for as many frames.
                ends = [run for role, run in card.runs.items() if "dma" in role]
                if len(ends) == 2 and ends[0].arguments[1] == ends[1].arguments[1]:
                    source, sink = sorted(ends, key=lambda run: run.kernel.role)
                    result = card.fabric(source.arguments[0].card, source.arguments[1])
                    sink.arguments[0].card[: len(result)] = np.frombuffer(result, np.uint8)

            def wait(self, timeout_ms: int = 0) -> State:
                if not self.started:
                    raise RuntimeError("cannot wait for a run that was not started")
                if timeout_ms == 0:
                    raise AssertionError("a wait without end")
                if card.fault is not None:
                    card.runs.clear()
                    return card.fault
                both = sum("dma" in role for role in card.runs) == 2
                if self.kernel.role.startswith("odma"):
                    card.runs.clear()
                return State.ERT_CMD_STATE_COMPLETED if both else State.ERT_CMD_STATE_TIMEOUT

        made.__dict__.update(
            uuid=Uuid, xclbin=Xclbin, device=Device, kernel=Kernel, bo=Bo, run=Run,
            xclBOSyncDirection=Direction, ert_cmd_state=State,
        )  # fmt: skip
        return made
