#include <pybind11/pybind11.h>

#include <sstream>
#include <string>

#include "devices.hpp"

namespace py = pybind11;

namespace {

// "13.0" from the runtime's 13000.
std::string version_text(int version) {
    return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

py::list devices() {
    std::vector<dfim::Device> found;
    {
        const py::gil_scoped_release others_may_run;  // opening contexts takes seconds on big hosts
        found = dfim::devices();
    }
    const dfim::Versions versions = dfim::versions();
    py::list rows;
    for (const dfim::Device& device : found) {
        py::dict row;
        row["index"] = device.index;
        row["name"] = device.name;
        row["compute_capability"] = py::make_tuple(device.major, device.minor);
        row["total_memory"] = device.total_memory;
        row["free_memory"] = device.free_memory;
        row["driver_version"] = version_text(versions.driver);
        row["runtime_version"] = version_text(versions.runtime);
        rows.append(row);
    }
    return rows;
}

py::dict build_info() {
    const dfim::Build build = dfim::build();
    py::list architectures;
    std::istringstream names(build.architectures);
    for (std::string name; std::getline(names, name, ',');) {
        architectures.append(name);
    }
    py::dict info;
    info["version"] = DFIM_VERSION;
    info["nvcc"] = build.nvcc;
    info["architectures"] = architectures;
    info["device_flags"] = build.flags;
    info["runtime_version"] = version_text(dfim::versions().runtime);
    return info;
}

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() = "What nvcc built ahead of time: the CUDA devices of this machine.";
    module.def("devices", &devices,
               R"(The CUDA devices that CUDA_VISIBLE_DEVICES leaves visible.

Returns
-------
list of dict
    One per device, in the runtime's order: index, name, compute_capability (major, minor),
    total_memory and free_memory in bytes, driver_version (newest CUDA that the driver supports)
    and runtime_version, such as "13.0".

Raises
------
RuntimeError
    One line: no CUDA driver, a driver too old for this build, no device, or a device that fails.)");
    module.def("build_info", &build_info,
               R"(How this module was built.

Returns
-------
dict
    version (of dfim_fast), nvcc, architectures (list of str: "80-real" is machine code, "90" is
    machine code and PTX), device_flags and runtime_version.)");
}
