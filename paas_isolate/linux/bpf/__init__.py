"""The bpf(2) system call and a small assembler for eBPF: no clang, no library, nothing to install."""
