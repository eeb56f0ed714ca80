#!/usr/bin/env bash
# Tests of the samples, which run in the guest, as root, in the repository; prints KTAP.
# shellcheck disable=SC2317 # the cases are called by their names
. "$(dirname "$0")/ktap.sh"

top=build/timer_top${SUFFIX:-}/release/timer_top
pins=/sys/fs/bpf/dns_test

# loaded KIND: how many programs or maps of dns_ttl are loaded.
loaded() {
	bpftool "$1" show | grep -cE 'name (insert|unread|records|expiries|troubles)' || true
}

some_armed() { [ "$(armed)" -ge 8 ]; }
none_loaded() { [ "$(loaded "$1")" = 0 ]; }
nothing_left() {
	within 10 none_armed
	within 10 none_loaded prog
	# A work item frees the maps after grace periods. This takes two seconds with all
	# checks of the debug flavour, and more if the host has other work.
	within 150 none_loaded map
}

# start_and_end SIGNAL ARG...: run dns_ttl until its timers are armed, then send
# it SIGNAL; sets $status.
start_and_end() {
	local signal=$1 pid
	shift
	"$dns" --records "$tmp/records.csv" "$@" >"$tmp/out" &
	pid=$!
	within 100 some_armed
	[ "$(loaded prog)" -gt 0 ]
	kill "-$signal" "$pid"
	status=0
	wait "$pid" || status=$?
	cat "$tmp/out"
}

# all_in_time: check that every record expired, and none more than 20 ms late.
all_in_time() {
	"$dns" | tee "$tmp/out"
	grep -q 'inserted 22, expired 22, evicted 0, cancelled 0, still pending 0' "$tmp/out" || exit
	awk '$1 == "expired" { n++; if ($(NF - 1) > 20) late++ } END { exit !(n == 22 && !late) }' "$tmp/out"
}

# There are three tries, because a busy host sometimes stops the guest's CPUs for longer.
test_sample_prunes_in_time() {
	all_in_time || all_in_time || all_in_time
	nothing_left
}

test_sample_evicts_what_has_no_room() {
	"$dns" --max-entries 8 | tee "$tmp/out"
	grep -qE 'inserted 22, expired [1-9][0-9]*, evicted [1-9][0-9]*, cancelled 0' "$tmp/out"
	nothing_left
}

test_interrupted_sample_leaves_nothing() {
	records 60000
	start_and_end INT
	[ "$status" = 130 ]
	grep -q 'expired 0, evicted 0, cancelled 8, still pending 0' "$tmp/out"
	nothing_left
}

test_killed_loader_leaves_nothing() {
	records 60000
	start_and_end KILL
	[ "$status" = 137 ]
	nothing_left
}

test_pinned_timers_outlive_a_killed_loader() {
	# Six seconds, or more in a slow guest, so that the timers are still armed then.
	records $((LIMIT * 100))
	start_and_end KILL --pin="$pins"
	some_armed
	# The callback's program lives as long as its timers.
	within "$LIMIT" none_armed
	"$dns" --pin="$pins" | tee "$tmp/out"
	grep -q 'inserted 0, expired 8, evicted 0, cancelled 0, still pending 0' "$tmp/out"
	"$dns" --unpin="$pins"
	nothing_left
}

test_unpinning_cancels() {
	records 60000
	"$dns" --records "$tmp/records.csv" --pin="$pins" --no-watch
	some_armed
	"$dns" --unpin="$pins"
	nothing_left
}

# has_tracepoints: whether timer_top can show the timers of this kernel.
has_tracepoints() {
	[ -d /sys/kernel/tracing/events/bpf_timer ]
}

# top_while COMMAND...: run timer_top for as long as the command, with JSON in $tmp/top.
top_while() {
	local pid
	"$top" --batch --interval 0.5 --filter records >"$tmp/top" &
	pid=$!
	within 200 test -s "$tmp/top"
	"$@"
	sleep 1
	kill -INT "$pid"
	wait "$pid"
}

test_timer_top_counts_what_timers_do() {
	has_tracepoints || skip 'these timers have no tracepoints'
	# A look takes seconds with all checks of the debug flavour. One has to find the timers armed.
	records $((LIMIT * 50))
	top_while "$dns" --records "$tmp/records.csv"
	cat "$tmp/top"
	python3 - "$tmp/top" <<-'END'
		import json, sys
		looks = [json.loads(line) for line in open(sys.argv[1])]
		lines = [line for look in looks for line in look["lines"]]
		for what in "inits", "starts", "expiries", "frees":
		    assert sum(line[what] for line in lines) == 8, what
		assert max(line["armed"] for line in lines) == 8
		# On a slow kernel it looks for owners in a part of its time only.
		owners = {line["owner"].partition("(")[0] for line in lines}
		assert "dns_ttl" in owners and owners <= {"", "dns_ttl"}, owners
		assert all(0 < line["callback_p50_ns"] for line in lines if line["expiries"])
		assert not any(look["lost"] for look in looks)
	END
}

test_timer_top_finds_timers_of_before() {
	has_tracepoints || skip 'these timers have no tracepoints'
	records 60000
	"$dns" --records "$tmp/records.csv" --pin="$pins" --no-watch
	"$top" --once --interval 0.5 | tee "$tmp/out"
	grep -qE '^ *[0-9]+ records +LruHash +8 +8 ' "$tmp/out"
	"$dns" --unpin="$pins"
}

# timer_top is no user of a map: when the loader is killed, its timers are gone at once.
test_timer_top_keeps_no_timers() {
	has_tracepoints || skip 'these timers have no tracepoints'
	records 60000
	"$top" --batch --interval 0.5 --filter records >"$tmp/top" &
	top_pid=$!
	start_and_end KILL
	grep -q '"timers":8' "$tmp/top" || sleep 2
	within 20 none_armed
	kill -INT "$top_pid"
	wait "$top_pid"
	nothing_left
}

test_timer_top_leaves_nothing_attached() {
	has_tracepoints || skip 'these timers have no tracepoints'
	"$top" --once --interval 0.5
	within 100 sh -c '! bpftool prog show | grep -q "name on_expire_entry"'
}

# The screen, on terminals of two sizes; "q" ends it.
test_timer_top_draws_a_screen() {
	has_tracepoints || skip 'these timers have no tracepoints'
	python3 - "$top" <<-'END'
		import fcntl, os, pty, select, struct, sys, termios, time
		for columns, wanted in (80, b"EXPIRE/s"), (200, b"CALLMAX"):
		    pid, fd = pty.fork()
		    if pid == 0:
		        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
		        os.execve(sys.argv[1], [sys.argv[1]], {"TERM": "xterm"})
		    output, end = b"", time.monotonic() + 20
		    while wanted not in output and time.monotonic() < end:
		        if select.select([fd], [], [], 1)[0]:
		            output += os.read(fd, 65536)
		    assert wanted in output, output
		    os.write(fd, b"q")
		    try:
		        while os.read(fd, 65536):
		            pass
		    except OSError:
		        pass
		    assert os.waitpid(pid, 0)[1] == 0
	END
}

test_timer_top_says_what_is_missing() {
	if ! has_tracepoints; then
		fails "$top" --once 2>"$tmp/out"
		grep -q CONFIG_BPF_TIMER_RUST "$tmp/out"
		return
	fi
	fails setpriv --reuid 65534 "$top" --once 2>"$tmp/out"
	grep -q 'has to be root' "$tmp/out"
	fails "$top" --by moon 2>"$tmp/out"
	grep -q 'map, prog or cpu' "$tmp/out"
	fails "$top" 2>"$tmp/out"
	grep -q 'try --once or --batch' "$tmp/out"
}

after_case() {
	[ ! -d "$pins" ] || "$dns" --unpin="$pins" >/dev/null || true
}

run_cases "$@"
