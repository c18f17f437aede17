"""What old images do and newer packages no longer do, given back to containers of old tags.

AWS's images hold the packages of their time: NumPy before 2 up to PyTorch 2.5 (before 1.24 up to
1.13), Pillow before 10 up to 1.12, and the torchvision of the same month. The newer packages here
have dropped names and arguments that scripts of that time use. Each is given back where its tag is
below the version that lost it, and where the package has nothing else under that name.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

Version = tuple[int, ...]


def restore(module: ModuleType, version: Version) -> None:
    """Give back what `module`, just imported, lost since PyTorch `version`."""
    for below, action in LOST[module.__name__]:
        if version < below:
            action(module)


def _aliases(**names: str) -> Callable[[ModuleType], None]:
    """An action that gives a module further names for what it has."""

    def add(module: ModuleType) -> None:
        for name, present in names.items():
            _set(module, name, getattr(module, present))

    return add


def _set(module: ModuleType | type, name: str, value: object) -> None:
    if name not in vars(module):  # hasattr would warn of some that NumPy has in mind
        setattr(module, name, value)


def _numpy_1(numpy: ModuleType) -> None:
    """The names that NumPy 2.0 removed, those that scripts used."""
    _aliases(
        Inf="inf", Infinity="inf", infty="inf", PINF="inf", NaN="nan", NAN="nan",
        float_="float64", complex_="complex128", longfloat="longdouble", singlecomplex="complex64",
        cfloat="complex128", clongfloat="clongdouble", longcomplex="clongdouble", bool8="bool_",
        string_="bytes_", unicode_="str_", mat="asmatrix", round_="round", product="prod",
        cumproduct="cumprod", alltrue="all", sometrue="any", issubsctype="issubdtype",
    )(numpy)  # fmt: skip
    _set(numpy, "NINF", -numpy.inf)
    _set(numpy, "asfarray", lambda a, dtype=numpy.float64: numpy.asarray(a, dtype=dtype))
    for name in ("AxisError", "ComplexWarning", "TooHardError", "VisibleDeprecationWarning"):
        _set(numpy, name, getattr(numpy.exceptions, name))


def _python_types(numpy: ModuleType) -> None:
    """Python's own types, which NumPy 1.24 removed."""
    for kind in (float, int, complex, object, str):
        _set(numpy, kind.__name__, kind)


def _next_of_loaders(dataloader: ModuleType) -> None:
    """``iter(loader).next()``"""
    iterator = dataloader._BaseDataLoaderIter
    _set(iterator, "next", iterator.__next__)


def _verbose_schedulers(schedulers: ModuleType) -> None:
    """Schedulers take ``verbose``; they print nothing for it."""
    base = schedulers.LRScheduler
    for kind in [each for each in vars(schedulers).values() if isinstance(each, type)]:
        if issubclass(kind, base) and "__init__" in vars(kind):
            kind.__init__ = _without_verbose(kind.__init__, last=2 if kind is base else None)


def _without_verbose(init: Callable, last: int | None) -> Callable:
    @functools.wraps(init)
    def accepting(self, *arguments, verbose=False, **members):
        init(self, *arguments[:last], **members)

    return accepting


def _auxiliary_logits(builders: ModuleType) -> None:
    """``inception_v3(pretrained=True, aux_logits=False)``: built with them, returned without."""
    given = builders._ovewrite_named_param

    def overwrite(members: dict, name: str, value: object) -> None:
        if name == "aux_logits":
            members[name] = value
        given(members, name, value)

    builders._ovewrite_named_param = overwrite


# By module: below which version of PyTorch an image has what, and how it is given back.
LOST: dict[str, list[tuple[Version, Callable[[ModuleType], None]]]] = {
    "numpy": [((2, 6), _numpy_1), ((2, 0), _python_types)],
    "PIL.Image": [((1, 13), _aliases(ANTIALIAS="LANCZOS", LINEAR="BILINEAR", CUBIC="BICUBIC"))],
    "torch.optim.lr_scheduler": [((2, 7), _verbose_schedulers)],
    "torch.utils.data.dataloader": [((1, 13), _next_of_loaders)],
    "torchvision.models._utils": [((1, 12), _auxiliary_logits)],
    "torchvision.transforms": [
        ((1, 11), _aliases(Scale="Resize", RandomSizedCrop="RandomResizedCrop"))
    ],
}
