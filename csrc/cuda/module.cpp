#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <sstream>
#include <string>

#include "devices.hpp"
#include "runtime.hpp"

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

// Where an array lies, on the host or on the device, and its bytes.
struct Source {
    const void* data;
    std::size_t bytes;
};

Source source_of(const py::object& array) {
    if (py::hasattr(array, "__cuda_array_interface__")) {
        const py::dict about = array.attr("__cuda_array_interface__");
        if (about.contains("strides") && !about["strides"].is_none()) {
            throw py::value_error("an array on the device must be contiguous; copy it first");
        }
        std::size_t bytes = std::stoull(about["typestr"].cast<std::string>().substr(2));
        for (const py::handle& size : about["shape"]) {
            bytes *= size.cast<std::size_t>();
        }
        const auto address = about["data"].cast<py::tuple>()[0].cast<std::uintptr_t>();
        return {reinterpret_cast<const void*>(address), bytes};
    }
    const auto host = py::cast<py::array>(array);
    if (!(host.flags() & py::array::c_style)) {
        throw py::value_error("an array must be contiguous; pass numpy.ascontiguousarray of it");
    }
    return {host.data(), static_cast<std::size_t>(host.nbytes())};
}

void write_array(std::uintptr_t address, const py::object& array) {
    const Source source = source_of(array);
    const py::gil_scoped_release others_may_run;
    dfim::write(address, source.data, source.bytes);
}

py::tuple fetch_begin(std::uintptr_t address, std::size_t bytes) {
    dfim::Fetch fetch{};
    {
        const py::gil_scoped_release others_may_run;
        fetch = dfim::begin_fetch(address, bytes);
    }
    return py::make_tuple(reinterpret_cast<std::uintptr_t>(fetch.host), fetch.bytes,
                          reinterpret_cast<std::uintptr_t>(fetch.done));
}

void fetch_end(const py::tuple& begun, py::array target) {
    if (!(target.flags() & py::array::c_style)) {
        throw py::value_error("the target must be contiguous");
    }
    const dfim::Fetch fetch{reinterpret_cast<void*>(begun[0].cast<std::uintptr_t>()),
                            begun[1].cast<std::size_t>(),
                            reinterpret_cast<void*>(begun[2].cast<std::uintptr_t>())};
    void* data = target.mutable_data();
    const auto bytes = static_cast<std::size_t>(target.nbytes());
    const py::gil_scoped_release others_may_run;
    dfim::end_fetch(fetch, data, bytes);
}

// Each argument arrives as the bytes of its value, in the order that the kernel declares.
void launch_kernel(const std::string& kernel, int blocks, int threads, int shared_bytes,
            std::vector<std::string> values) {
    std::vector<void*> arguments;
    arguments.reserve(values.size());
    for (std::string& value : values) {
        arguments.push_back(value.data());
    }
    const py::gil_scoped_release others_may_run;
    dfim::launch(kernel, blocks, threads, shared_bytes, arguments.data());
}

}  // namespace

PYBIND11_MODULE(_native, module) {
    module.doc() = "What nvcc built ahead of time: the kernels, and the CUDA devices of this machine.";
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
    using release = py::call_guard<py::gil_scoped_release>;
    module.def("open_device", &dfim::open_device, release(),
               "Get the current device ready; RuntimeError, one line, where it cannot be used.");
    module.def("allocate", &dfim::allocate, release(), py::arg("bytes"),
               "Address of new device memory; 0 where there is not so much.");
    module.def("release", &dfim::release, release(), py::arg("address"), "Give memory back.");
    module.def("write", &write_array, py::arg("address"), py::arg("array"),
               "Copy a contiguous NumPy array, or one with __cuda_array_interface__.");
    module.def("clear", &dfim::clear, release(), py::arg("address"), py::arg("bytes"),
               "Fill memory with zeros.");
    module.def("begin_fetch", &fetch_begin, py::arg("address"), py::arg("bytes"),
               "Begin to copy memory to the host, after all work asked for so far.");
    module.def("end_fetch", &fetch_end, py::arg("begun"), py::arg("target"),
               "Wait for what begin_fetch returned, and put it into a NumPy array.");
    module.def("synchronize", &dfim::synchronize, release(), "Wait for all work asked for.");
    module.def("free_memory", &dfim::free_memory, release(), "Bytes free on the device.");
    module.def("mark", &dfim::mark, release(), "A moment in the order of work, for seconds_since.");
    module.def("seconds_since", &dfim::seconds_since, release(), py::arg("moment"),
               "The device's seconds since a moment, once all work asked for is done; ends it.");
    module.def("launch", &launch_kernel, py::arg("kernel"), py::arg("blocks"), py::arg("threads"),
               py::arg("shared_bytes"), py::arg("values"),
               "Run a kernel; values are bytes, one for each argument.");
    module.def("signatures", &dfim::signatures,
               "Name and parameter types of every kernel, as the compiler sees them.");
}
