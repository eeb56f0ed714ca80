# Test cases that run in the guest; sourced, with the functions of the cases, by a script that then
# calls "run_cases". Prints KTAP.
#
# A case is a function named test_*. It passes by returning 0; "skip REASON"
# skips it; anything else fails it. Its output is its log. Each case runs in its own
# shell, under "set -eu", for at most LIMIT seconds, and has a directory $tmp. The kernel's
# ktap_helpers.sh has no logs, time limits or reasons of skips: it only prints the lines of KTAP.
# shellcheck shell=bash
set -u

LIMIT=${LIMIT:-60}

skip() {
	echo "$*" >"$reason"
	exit 4
}

# within TENTHS COMMAND...: wait that many tenths of a second for it to succeed.
within() {
	local tenths=$1
	shift
	until "$@"; do
		[ $((tenths--)) -gt 0 ] || { echo "not in time: $*"; return 1; }
		sleep 0.1
	done
}

# fails COMMAND...: check that the command fails. "set -e" does not heed "!".
fails() {
	if "$@"; then
		echo "does not fail: $*"
		exit 1
	fi
}

# armed: how many BPF timers are armed. The pattern matches the callbacks of C and of Rust.
armed() {
	grep -cE 'bpf_timer_cb|9bpf_timer' /proc/timer_list || true
}
none_armed() { [ "$(armed)" = 0 ]; }

# The sample whose timers several suites use.
# shellcheck disable=SC2034 # those who source this use it
dns=build/dns_ttl${SUFFIX:-}/release/dns_ttl

# records MSECS: write eight records for it that live for that long.
records() {
	for i in $(seq 8); do
		echo "host$i.example.org,192.0.2.$i,$1"
	done >"$tmp/records.csv"
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

# after_case: undo what a failed case has left, so that the next case does not find it.
after_case() { :; }

# run_cases ARG...: run all cases, or the one that this script calls itself for.
run_cases() {
	local cases i failed=0
	tmp=$(mktemp -d)
	trap 'after_case; rm -rf "$tmp"' EXIT
	if [ "${1:-}" = --case ]; then
		reason=$3
		"test_$2"
		exit
	fi
	mapfile -t cases < <(compgen -A function test_ | sed 's/^test_//')
	echo 'KTAP version 1'
	echo "1..${#cases[@]}"
	for i in "${!cases[@]}"; do
		run_case "${cases[i]}" $((i + 1)) || failed=1
	done
	exit $failed
}
