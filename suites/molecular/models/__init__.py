"""The molecular suite's networks, all SchNetPack modules, and the hooks that change them."""
