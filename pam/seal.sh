#!/bin/sh
# seal.sh MODULE: makes the loader refuse a module that was truncated, at whatever byte.
#
# libpam loads all modules of a stack before it calls the first. When the loader maps a part of the file that is
# missing, the program ends with SIGBUS: nobody could log in, not even root, for whom the module does nothing. The
# loader reads the program headers first, and refuses a file that ends before they do: so they are moved to the end
# (elf(5), e_phoff). This must be the last step: strip(1) would move them back.
set -eu
module=$1
number() { od -An -v -t "u$2" -j "$1" -N "$2" "$module" | tr -d ' '; } # OFFSET BYTES

# Only for 64 bits, little-endian: any other module stays as it is.
[ "$(od -An -v -t x1 -N 6 "$module" | tr -d ' ')" = 7f454c460201 ] || exit 0
at=$(number 32 8) size=$(($(number 54 2) * $(number 56 2)))
end=$((($(wc -c <"$module") + 7) / 8 * 8))
dd if="$module" of="$module.headers" bs=1 skip="$at" count="$size" status=none
dd if="$module.headers" of="$module" bs=1 seek="$end" conv=notrunc status=none
rm -f "$module.headers"
for shift in 0 8 16 24 32 40 48 56; do
    printf "\\$(printf %03o $((end >> shift & 255)))"
done | dd of="$module" bs=1 seek=32 conv=notrunc status=none
