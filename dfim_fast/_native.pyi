from typing import TypedDict

class Device(TypedDict):
    index: int
    name: str
    compute_capability: tuple[int, int]
    total_memory: int
    free_memory: int
    driver_version: str
    runtime_version: str

class BuildInfo(TypedDict):
    version: str
    nvcc: str
    architectures: list[str]
    device_flags: str
    runtime_version: str

def devices() -> list[Device]: ...
def build_info() -> BuildInfo: ...
