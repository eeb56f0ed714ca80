// SPDX-License-Identifier: GPL-2.0-only
/* Where the tracepoints of BPF timers are, which Rust calls. */
#define CREATE_TRACE_POINTS
#define CREATE_RUST_TRACE_POINTS
#include <trace/events/bpf_timer.h>
