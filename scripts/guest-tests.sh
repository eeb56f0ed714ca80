#!/usr/bin/env bash
# Tests that run in the guest, as root, in the repository; prints KTAP.
#
# A case is a function named test_*. It passes by returning 0; "skip REASON"
# skips it; anything else fails it. What it prints is its log. Each runs in a
# shell of its own, under "set -eu", for at most LIMIT seconds.
# shellcheck disable=SC2317 # the cases are called by their names
set -u

LIMIT=${LIMIT:-60}

skip() {
	echo "$*" >"$reason"
	exit 4
}

# The helpers are in the kernel's BTF, so that bpftool and libbpf know them.
test_btf_names_timers() {
	# To the end: "grep -q" would end bpftool by SIGPIPE.
	bpftool btf dump file /sys/kernel/btf/vmlinux | grep "STRUCT 'bpf_timer' size=16"
}

run_case() {
	local name=$1 number=$2 status
	reason=$tmp/reason log=$tmp/log
	: >"$reason"
	timeout --kill-after=5 "$LIMIT" bash -euo pipefail "$0" --case "$name" "$reason" >"$log" 2>&1 </dev/null
	status=$?
	[ $status != 124 ] || echo "no end in $LIMIT s" >>"$log"
	if [ $status = 4 ] && [ -s "$reason" ]; then
		echo "ok $number $name # SKIP $(cat "$reason")"
		return 0
	fi
	sed 's/^/# /' "$log"
	[ $status = 0 ] || echo "# $name: status $status"
	[ $status = 0 ] || printf 'not '
	echo "ok $number $name"
	return $((status != 0))
}

if [ "${1:-}" = --case ]; then
	reason=$3
	"test_$2"
	exit
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mapfile -t cases < <(compgen -A function test_ | sed 's/^test_//')
echo 'KTAP version 1'
echo "1..${#cases[@]}"
failed=0
for i in "${!cases[@]}"; do
	run_case "${cases[i]}" $((i + 1)) || failed=1
done
exit $failed
