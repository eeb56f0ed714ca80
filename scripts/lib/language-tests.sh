#!/usr/bin/env bash
# Tests of samples/bpf_timer/languages, which run in the guest, as root, in the repository; prints
# KTAP. DEBIAN is the directory of the system that has bpftrace.
# shellcheck disable=SC2317 # the cases are called by their names
. "$(dirname "$0")/ktap.sh"

out=build/languages

# expire: let eight timers expire, in a map that is called records.
expire() {
	records 1000
	"$dns" --records "$tmp/records.csv" | grep 'expired 8'
}

test_bpftrace_shows_how_late_timers_are() {
	local pid
	for dir in proc sys dev; do
		mount --rbind "/$dir" "$DEBIAN/$dir"
	done
	: >"$tmp/out"
	chroot "$DEBIAN" bpftrace -B line -e "$(cat samples/bpf_timer/languages/lateness.bt)" >"$tmp/out" 2>&1 &
	pid=$!
	within 300 grep -qE "Attach(ing|ed)" "$tmp/out" || { cat "$tmp/out"; exit 1; }
	expire
	kill -INT "$pid"
	wait "$pid" || true
	cat "$tmp/out"
	fails grep WARNING "$tmp/out"
	# A line of the histogram has the number of timers between its bounds and its bar.
	awk '/^\[/ && sub(/.*\)/, "") { n += $1 } END { exit n != 8 }' "$tmp/out"
}

test_go_counts_expiries() {
	local pid
	"$out/expiries" "$out/expiries.bpf.o" 8s >"$tmp/out" &
	pid=$!
	within 100 sh -c 'bpftool prog show | grep -q "name on_expire"'
	expire
	wait "$pid"
	cat "$tmp/out"
	grep -q ': 8 expiries$' "$tmp/out"
}

test_aya_program_has_a_timer() {
	local ticks
	ticks=$("$out/aya/x86_64-unknown-linux-gnu/release/ticks-loader" "$out/aya/bpfel-unknown-none/release/ticks")
	echo "$ticks"
	[ "${ticks%% *}" -gt 5 ] && [ "${ticks%% *}" -le 100 ]
}

run_cases "$@"
