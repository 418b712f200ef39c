"""Arrays by what they hold: FloatArray vectors and scores, IdArray ids of rows and items."""

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IdArray = npt.NDArray[np.int64]
