"""Faster R-CNN on the paper's networks, and localization (§4.3 and the appendix)."""
