"""Switching activity of a simulated accelerator: value changes by node, read from SAIF, as activity.json."""
