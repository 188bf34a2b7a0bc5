"""What a type checker must refuse: each `ignore` is an error if there is nothing to ignore."""

import numpy as np

import cybn

cybn.BatchNorm4d(3)  # type: ignore[attr-defined]
cybn.BatchNorm1d("three")  # type: ignore[arg-type]
cybn.BatchNorm1d(3, epsilon=1e-5)  # type: ignore[call-arg]
cybn.BatchNorm1d(3, channel_axis=2)  # type: ignore[arg-type]
cybn.create(3)  # type: ignore[call-overload]
cybn.functional.batch_norm(np.ones((2, 3)))  # type: ignore[call-arg]
cybn.set_num_threads("all")  # type: ignore[arg-type]
none: cybn.BatchNorm2d = cybn.create("BN1d", num_features=3)  # type: ignore[assignment]
