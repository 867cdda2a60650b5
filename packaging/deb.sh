#!/bin/sh
# Makes the Debian package of a build: `dist`, which is handed out, or `dev`, for the tests in a hurry. Prints its path.
#
# Reproducible: the same commit and the same toolchain make the same bytes, wherever they are built. For that a `dist` build
# has its own target directory, as its paths are made the same for everyone.
set -eu
cd "$(dirname "$0")/.."
profile=$1

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH
case "$profile" in
dist)
    export CARGO_TARGET_DIR="$PWD/target/deb"
    export RUSTFLAGS="--remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=/cargo --remap-path-prefix=$PWD=/signvault"
    binary=$CARGO_TARGET_DIR/dist/signvault
    packing=--no-strip
    ;;
dev)
    binary=target/debug/signvault
    packing='--strip --fast'
    ;;
*)
    echo "usage: $0 dist|dev" >&2
    exit 2
    ;;
esac
cargo build --locked --quiet --profile "$profile" --bin signvault

# What the program says of itself: cargo-deb takes it from here.
rm -rf target/package
mkdir -p target/package/completions
"$binary" generate man --out-dir target/package/man
for shell in bash zsh fish; do
    "$binary" generate completions "$shell" >"target/package/completions/$shell"
done

# shellcheck disable=SC2086 # one flag or two
cargo deb --locked --quiet --no-build --profile "$profile" $packing --output "target/debian/$profile/" >/dev/null
ls "$PWD"/target/debian/"$profile"/signvault_*.deb
