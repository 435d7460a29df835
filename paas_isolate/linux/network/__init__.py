"""The network of this machine: nftables, addresses, names, listening sockets."""
