"""Pretrained towers of one modality each, shipped by Python packages. A module here is imported on first use."""
