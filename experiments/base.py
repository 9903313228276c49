"""Recipe of the authors' code, on which every other experiment is based.

It trains with Adam at a constant learning rate of 1e-3, batch size 96 and 40 epochs,
without weight decay or augmentation. There is one deliberate difference: the epoch is
selected on the validation split, never on the test fold.
"""

from ml_collections import ConfigDict
from ml_collections.config_dict import placeholder


def get_config() -> ConfigDict:
    config = ConfigDict()
    config.name = "base"  # names the default workdir, runs/NAME
    config.seed = 1  # for initial weights, order of records and dropout
    config.batch_size = 96  # total over all devices
    config.num_epochs = 40
    config.patience = 0  # epochs without a better one after which to stop; 0: never
    config.average_weights = False  # score with averages of the weights over the steps
    config.augment = False  # change the training records at random
    config.selection_head = "mean"  # its validation macro AUC selects the epoch
    config.data = ConfigDict(
        {
            "shards": "shards/ptbxl",
            "label_set": "all",
            # Larger splits are streamed. None means half of the device's memory.
            "resident_gib": placeholder(float),
            "leads": placeholder(tuple),  # such as ("I", "II"); None: all
            # None: 10 is the test fold, 9 validates, and all others train.
            "folds": {name: placeholder(tuple) for name in ("train", "val", "test")},
        }
    )
    # Start from the weights of another run (--init_from), see docs/training.md.
    config.init = ConfigDict(
        {
            "run": placeholder(str),
            "freeze": (),  # modules whose weights do not change, such as "stem"
            "statistics": "data",  # mean and deviation: of the data, or of the run
        }
    )
    config.hparams = _hparams()
    # Values that change the network or the compiled program (MRMNet).
    config.model = ConfigDict(
        {
            "name": "mrm_net",  # another one takes its options from `options` only
            "options": ConfigDict(),
            "width": 16,
            "mutual_stages": ("attention",),
            "feature_pairing": "channel_major",
            "logit_divergence": "softmax",
            "exchange": False,
            "eca_conv": False,
            "compute_dtype": "float32",  # or bfloat16, which is faster on accelerators
        }
    )
    return config


def _hparams() -> ConfigDict:
    """Floats that a sweep may vary; a new value never recompiles (training/hparams)."""
    return ConfigDict(
        {
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "high_weight": 1.0,
            "low_weight": 1.0,
            "feature_weight": 0.01,
            "logit_weight": 0.1,
            "temperature": 4.0,
            "dropout_rate": 0.2,
            "label_smoothing": 0.0,
            # Schedule: warm-up from initial_rate, half a cosine down to final_rate.
            "warmup_fraction": 0.0,
            "initial_rate": 0.0,
            "final_rate": 1.0,
            "clip_norm": 0.0,  # 0: gradients are not clipped
            # Weight of positive labels; focal and asymmetric loss.
            "positive_weight": 1.0,
            "positive_focus": 0.0,
            "negative_focus": 0.0,
            "negative_margin": 0.0,
            "average_decay": 0.999,  # with average_weights
            "inherited_rate": 1.0,  # with init.run: relative rate of its weights
            # With augment: each is off at 0 (training/augmentation).
            "shift": 0.1,
            "crop": 0.1,
            "amplitude": 0.1,
            "wander": 0.1,
            "noise": 0.05,
            "lead_dropout": 0.1,
            "mixup": 0.0,
        }
    )
