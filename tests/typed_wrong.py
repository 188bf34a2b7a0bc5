"""What a type checker must refuse: each `ignore` is an error if there is nothing to ignore."""

import numpy as np

import cybn

cybn.BatchNorm4d(3)  # type: ignore[attr-defined]
cybn.BatchNorm1d("three")  # type: ignore[arg-type]
cybn.BatchNorm1d(3, epsilon=1e-5)  # type: ignore[call-arg]
cybn.BatchNorm1d(3, channel_axis=2)  # type: ignore[arg-type]
cybn.create(3)  # type: ignore[call-overload]
cybn.create("BN1d", num_features=3, epsilon=1e-3)  # type: ignore[call-overload]
cybn.create("BatchNorm2d", num_features=3, momentun=0.1)  # type: ignore[call-overload]
cybn.create("LN", num_features=3, eps="small")  # type: ignore[call-overload]
cybn.create("BN2d", num_features=3, activation="rleu")  # type: ignore[call-overload]
cybn.create("GN", num_groups="4", num_features=8)  # type: ignore[call-overload]
cybn.BatchNorm2d(3, activation="rleu")  # type: ignore[arg-type]
cybn.GhostBatchNorm2d(3, virtual_batchsize=4)  # type: ignore[call-arg]
cybn.SplitBatchNorm1d(3, num_splits="two")  # type: ignore[arg-type]
layer = cybn.create("BN1d", num_features=3)
print(layer.weigth)  # type: ignore[attr-defined]
layer.gamma = np.ones(3)  # type: ignore[attr-defined]
layer.activation = "rleu"  # type: ignore[assignment]
layer.eps = "small"  # type: ignore[assignment]
layer.weight = [1, 2, 3]  # type: ignore[assignment]
print(layer.weight.shape)  # type: ignore[union-attr]
layer(np.ones((2, 3)), np.ones((2, 3)))  # type: ignore[call-arg]
print(cybn.LayerNorm(3).running_mean)  # type: ignore[attr-defined]
cybn.load_state_dict(layer, {}, prefx="a.")  # type: ignore[call-arg]
cybn.save("a.npz")  # type: ignore[call-arg]
cybn.functional.batch_norm(np.ones((2, 3)))  # type: ignore[call-arg]
cybn.set_num_threads("all")  # type: ignore[arg-type]
none: cybn.BatchNorm2d = cybn.create("BN1d", num_features=3)  # type: ignore[assignment]
