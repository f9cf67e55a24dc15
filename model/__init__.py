"""SpikeCLIP in floating point: data, teacher, network, training."""
