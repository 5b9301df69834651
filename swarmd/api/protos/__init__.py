"""The wire: SwarmKit's messages and services as .proto files, and the code made from them.

The Python beside each .proto is made by `python swarmd/api/generate.py`; it is committed, and never
edited by hand.
"""
