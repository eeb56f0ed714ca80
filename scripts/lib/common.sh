# Shared by the front door's shell scripts; sourced, not run.
# shellcheck shell=bash
set -euo pipefail

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/bpf-timer-rust
# The machine to build for, and the Debian whose compilers build. What is built for another machine
# than x86_64, or by another toolchain than Debian 13's, has SUFFIX in its name.
ARCH=${ARCH:-x86_64} TOOLCHAIN=${TOOLCHAIN:-} SUFFIX=${TOOLCHAIN:+-$TOOLCHAIN} CROSS=
[ "$ARCH" = x86_64 ] || CROSS=1 SUFFIX=-$ARCH$SUFFIX
export REPO CACHE ARCH TOOLCHAIN
mkdir -p "$CACHE"
[ -z "${LINUX:-}" ] || LINUX=$(realpath -m "$LINUX")

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# about NAME: print what arches.ini says about the machine.
about() { sed -n "/^\[$ARCH\]/,/^\[/s/^$1 = //p" "$REPO/scripts/data/arches.ini"; }

# fragments FLAVOR: print the configuration of a flavor, on top of allnoconfig. A flavor such as
# rt-debug is made of two. Of two values of an option, the last counts, and is the only one that is
# printed.
fragments() {
	local part file files=("$REPO/scripts/data/kernel.config")
	for part in "$ARCH" ${1//-/ } $TOOLCHAIN; do
		file=scripts/data/kernel-$part.config
		[ -e "$REPO/$file" ] || die "no kernel has ARCH=$ARCH FLAVOR=$1: there is no $file"
		files+=("$REPO/$file")
	done
	cat "${files[@]}" | grep -E '^(# )?CONFIG_[A-Z0-9_]+(=| is not set)' | tac |
		awk '{ option = $0; sub("^# ", "", option); sub("[= ].*", "", option) } !seen[option]++'
}

# cross_make: set cross to what the Makefiles in tools/ need for another machine than x86_64.
cross_make() {
	local triple
	triple=$(about triple)
	cross=()
	[ "$CROSS" ] || return 0
	cross_flags="--target=$triple --sysroot=$GUEST_ROOT -fuse-ld=lld -Wno-unused-command-line-argument"
	cross=("CROSS_COMPILE=$triple-" "CLANG_CROSS_FLAGS=$cross_flags"
		# BPF programs read the headers of that machine.
		"CLANG_TARGET_ARCH=--target=$triple --sysroot=$GUEST_ROOT"
		"PKG_CONFIG=env PKG_CONFIG_SYSROOT_DIR=$GUEST_ROOT PKG_CONFIG_LIBDIR=$GUEST_ROOT/usr/lib/$triple/pkgconfig pkg-config")
}

# lock NAME [DIR]: hold NAME until this process ends, so that a second make
# waits for the first instead of doing the same work beside it.
lock() {
	local fd dir=${2:-$CACHE}
	mkdir -p "$dir"
	exec {fd}>"$dir/$1.lock"
	if ! flock -n "$fd"; then
		say "another make is at work on the $1, waiting for it"
		flock "$fd"
	fi
}

# kernel_tree: make build/linux, the pristine source with the series, and keep it
# from changing until this process ends. Sets pristine to the path of that source.
kernel_tree() {
	lock kernel "$REPO/build"
	pristine=$("$REPO/scripts/source")
	"$REPO/scripts/enter" "$REPO/scripts/series" tree "$pristine" "$REPO/build/linux"
}

# mirror: print $MIRROR, or the machine's own mirror if it is a Debian, or nothing,
# which leaves the choice to mmdebstrap.
mirror() {
	local own=
	if command -v apt-get >/dev/null; then
		# shellcheck disable=SC2016 # apt expands these itself
		own=$(apt-get indextargets --format '$(ORIGIN) $(LABEL) $(REPO_URI)' \
			'Created-By: Packages' | sed -n 's/^Debian Debian //p' | head -n1)
	fi
	echo "${MIRROR:-$own}"
}

# apt_sources MIRROR SUITE...: print apt's sources of a Debian.
apt_sources() {
	local suite
	for suite in "${@:2}"; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $1 $suite main"
	done
}

# install_host WHY PACKAGE...: install packages that the machine itself lacks.
install_host() {
	local why=$1
	shift
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		die "$why: please install $* (on Debian: apt-get install $*)"
	fi
	say "$why: installing $*"
	if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "$@"; } >&2; then
		die "apt-get could not install $*: is there a network?"
	fi
}

# contents PATH...: print the checksums of files in this repository, even if another user owns it.
contents() {
	(
		cd "$REPO"
		git -c safe.directory='*' ls-files -coz --exclude-standard -- "$@" |
			while IFS= read -rd '' file; do
				[ ! -e "$file" ] || printf '%s\0' "$file"
			done | xargs -0r sha256sum
	)
}

# build_crate WHAT DIR: build the crate in DIR into the directory of that name in build/, unless
# it was built from the same sources before. Messages call it WHAT.
# For another machine than x86_64, cargo finds what it needs in the guest's root.
build_crate() {
	local dir=$REPO/$2 name=${2##*/} key
	local out=$REPO/build/$name$SUFFIX cross=() root
	lock "$1" "$REPO/build"
	cd "$REPO"
	root=${CROSS:+$(scripts/lib/guest-root)}
	key=$( (scripts/lib/toolchain && contents "$2" && echo "$root") | sha256sum)
	[ "$key" != "$(cat "$out/.built" 2>/dev/null)" ] || return 0
	rm -f "$out/.built"
	if [ "$CROSS" ]; then
		cross=("PKG_CONFIG_SYSROOT_DIR=$root" "PKG_CONFIG_LIBDIR=$root/usr/lib/$(about triple)/pkgconfig" PKG_CONFIG_ALLOW_CROSS=1
			"CARGO_BUILD_TARGET=$(about rust)" "TARGET_CC=clang --target=$(about triple) --sysroot=$root" TARGET_AR=llvm-ar
			"CARGO_ENCODED_RUSTFLAGS=--sysroot=$root/usr"$'\x1f'"-Clinker=clang"$'\x1f'"-Clink-args=--target=$(about triple) --sysroot=$root -fuse-ld=lld")
	fi
	scripts/lib/step "$1: build $name$SUFFIX" "$out.log" --count '^ +Compiling ' -- \
		scripts/enter env "CARGO_TARGET_DIR=$out" "${cross[@]}" cargo build --release --locked --manifest-path "$dir/Cargo.toml" ||
		die "the $1 does not build: if crates cannot be downloaded, is there a network? See build/$name$SUFFIX.log"
	[ -z "$CROSS" ] || cp "$out/$(about rust)/release/$name" "$out/release/"
	echo "$key" >"$out/.built"
}
