"""The atlas as pages, and networks as a service (the extra `web`): one application for both.

Pages need no torch before a network is opened or asked, so the first is there at once.
"""
