"""The baselines as integers: the quantised ANN of SpikeCLIP's topology (QNN), and the layers hardware would run."""
