#!/bin/sh
# seal.sh MODULE: a module that was cut short, wherever that was, shall not load at all.
#
# libpam loads every module of a stack before its first line is done, and the loader that maps what is not there any
# more ends the program with SIGBUS: nobody would get in, not even root, whom the module does not concern. The loader
# reads the program headers before anything else and refuses a file that ends before they do: so they go to its end
# (elf(5), e_phoff). Last of all steps: strip(1) would put them back.
set -eu
module=$1
number() { od -An -v -t "u$2" -j "$1" -N "$2" "$module" | tr -d ' '; } # OFFSET BYTES

# 64 bits, little-endian: elsewhere the module stays as it is.
[ "$(od -An -v -t x1 -N 6 "$module" | tr -d ' ')" = 7f454c460201 ] || exit 0
at=$(number 32 8) size=$(($(number 54 2) * $(number 56 2)))
end=$((($(wc -c <"$module") + 7) / 8 * 8))
dd if="$module" of="$module.headers" bs=1 skip="$at" count="$size" status=none
dd if="$module.headers" of="$module" bs=1 seek="$end" conv=notrunc status=none
rm -f "$module.headers"
for shift in 0 8 16 24 32 40 48 56; do
    printf "\\$(printf %03o $((end >> shift & 255)))"
done | dd of="$module" bs=1 seek=32 conv=notrunc status=none
