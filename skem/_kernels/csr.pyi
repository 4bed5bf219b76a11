from typing import Any

from skem._kernels.passes import Prepared

class PreparedCSR(Prepared):
    def __init__(self, *args: Any, **named: Any) -> None: ...
