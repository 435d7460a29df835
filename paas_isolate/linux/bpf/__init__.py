"""The bpf(2) system call and a small assembler for it: no clang, no library, nothing to install."""
