"""The first use compiles, and says so; later ones do not."""


def test_compiling_is_announced_once(run_python, tmp_path):
    code = (
        "import dfim_fast, pathlib, sys\n"
        "sys.stderr = sys.stdout\n"
        "folder = pathlib.Path(dfim_fast.__file__).parent / 'data'\n"
        "model = dfim_fast.load_model(folder / 'demo.onnx')\n"
        "dfim_fast.interaction_map(model, ['ACGT' * 50], sources=[5], method='gradient')\n"
    )
    first, second = (run_python(code, NUMBA_CACHE_DIR=str(tmp_path)) for _ in range(2))
    assert "compiling for this processor" in first
    assert "compiling" not in second
    assert "maps: 100%" in second


def test_without_a_place_to_keep_code_it_is_compiled_each_time(run_python):
    code = (
        "from numba.core import caching\n"
        "impl = getattr(caching, 'CacheImpl', None) or caching._CacheImpl\n"
        "impl._locator_classes = []\n"
        "from dfim_fast.sequence.shuffle import dinucleotide_shuffle\n"
        "from dfim_fast.jit import is_ready\n"
        "from dfim_fast.backends.numba_cpu.convolution import _convolve\n"
        "print(dinucleotide_shuffle(['ACGTACGT'], n=1).shape, is_ready(_convolve))\n"
    )
    printed = run_python(code)
    assert printed == "(1, 1, 4, 8) False\n"
