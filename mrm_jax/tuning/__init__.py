"""Hyperparameter tuning: what varies, who trains which setting, what is left."""
