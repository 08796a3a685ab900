"""What a network sees: one file a method, each citing the equation it computes.

Pictures x are (N, C, H, W) as the network takes them, the network is in evaluation mode and is left as it was. What is explained is a
scalar for each picture, a `what.Score` or a `what.Unit`.
"""
