#!/usr/bin/env bash
# Run schedulers whose ticks are BPF timers, under load, each for TIME seconds. Runs in the
# guest, as root; prints KTAP. SCHEDULERS is the directory of their programs.
#
# A scheduler that leaves a task waiting for 30 seconds, or makes an error, is removed by the kernel.
# shellcheck disable=SC2317 # the cases are called by their names
TIME=${TIME:-5}
LIMIT=$((TIME + ${LIMIT:-60}))
. "$(dirname "$0")/ktap.sh"

state=/sys/kernel/sched_ext/state
cpus=$(nproc)

scheduler() {
	cat /sys/kernel/sched_ext/root/ops 2>/dev/null || echo none
}
is_scheduler() { [ "$(scheduler)" = "$1" ]; }
has_none() { [ "$(cat "$state")" = disabled ]; }

# repeat NAME COMMAND...: run a command until the time is over, and say how often that was.
repeat() {
	local name=$1 end=$((SECONDS + TIME)) n=0
	shift
	while [ "$SECONDS" -lt "$end" ]; do
		"$@"
		n=$((n + 1))
	done
	echo "$name: $n times"
	[ "$n" -gt 0 ]
}

# talk: send bytes through a pipe from one task to another one.
talk() {
	[ "$(head -c 1000000 /dev/zero | wc -c)" = 1000000 ]
}

# all_end PID...: wait for all, and fail if one of them failed.
all_end() {
	local task
	for task in "$@"; do
		wait "$task"
	done
}

# load: more tasks than CPUs, which never sleep, sleep much, talk, or are nice.
load() {
	local i pids=()
	for ((i = 0; i < 2 * cpus; i++)); do
		repeat "task $i" : &
		pids+=($!)
		(renice -n 19 "$BASHPID" >/dev/null; repeat "nice task $i" :) &
		pids+=($!)
		repeat "sleeper $i" sleep 0.01 &
		pids+=($!)
	done
	repeat pipe talk &
	pids+=($!)
	all_end "${pids[@]}"
}

has_begun_or_ended() { is_scheduler "$1" || ! kill -0 "$pid" 2>/dev/null; }

# A scheduler that a failed case has left would fail the next one as well.
after_case() {
	[ -z "${pid:-}" ] || kill -KILL "$pid" 2>/dev/null || true
}

# begin OPS COMMAND...: begin to run a scheduler; sets $pid. Its output is in $tmp/out.
begin() {
	local ops=$1
	shift
	# One that was killed ends a moment later.
	within 100 has_none
	"$@" >"$tmp/out" 2>&1 &
	pid=$!
	within 200 has_begun_or_ended "$ops" || true
	is_scheduler "$ops" && return
	if grep -q "prog 'qmap_.*failed to load: -EACCES" "$tmp/out"; then
		skip 'the verifier refuses what this compiler makes of it'
	fi
	if grep -qE "Private stack not supported by jit|map 'arena': failed to create: -EOPNOTSUPP" "$tmp/out"; then
		skip 'it needs what the BPF JIT of this machine does not have'
	fi
	cat "$tmp/out"
	exit 1
}

# under OPS COMMAND...: run the load under a scheduler.
under() {
	local ops=$1 status=0
	begin "$@"
	load
	is_scheduler "$ops"
	kill -INT "$pid"
	wait "$pid" || status=$?
	cat "$tmp/out"
	[ "$status" = 0 ]
	grep -q 'EXIT: unregistered from user space' "$tmp/out"
	within 100 has_none
}

# last NAME: the last number that the scheduler printed under that name.
last() {
	sed -nE "s/.*\b$1[ :=]+([0-9]+).*/\1/p" "$tmp/out" | tail -n 1
}

# Each tick of its timer, every millisecond, looks whether a CPU has to take another task.
test_central() {
	[ "$cpus" -ge 2 ] || skip 'it needs a CPU for itself'
	under central "$SCHEDULERS/scx_central"
	# A busy host keeps the timer from most of its ticks.
	[ "$(last timer)" -gt $((TIME * 100)) ]
	[ "$(last dispatch)" -gt "$TIME" ]
}

# One of its timers lets nice tasks run. The verifier refuses what clang 19 and 21 make of it.
test_qmap() {
	under qmap "$SCHEDULERS/scx_qmap" -i 1
	[ "$(last reenq.cid0)" -gt $((TIME * 10)) ]
}

# The tick ends with the program that has loaded the scheduler.
test_killed_scheduler_leaves_nothing() {
	[ "$cpus" -ge 2 ] || skip 'it needs a CPU for itself'
	begin central "$SCHEDULERS/scx_central"
	kill -KILL "$pid"
	wait "$pid" || true
	within 100 has_none
	within 100 none_armed
}

run_cases "$@"
