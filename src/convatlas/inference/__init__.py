"""Trained networks at their fastest: lean twins (models/lean.py) on the engines that run them."""
