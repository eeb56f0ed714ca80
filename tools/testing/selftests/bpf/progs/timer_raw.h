/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The functions of bpf_timer_raw.ko, which has hrtimers with no BPF timer around them. They act
 * on the hrtimer with the number @i.
 */
#ifndef __TIMER_RAW_H
#define __TIMER_RAW_H

int bpf_timer_raw_setup(__u32 i) __ksym __weak;
/* @flags are the flags of bpf_timer_start(). */
int bpf_timer_raw_start(__u32 i, __u64 nsecs, __u64 flags) __ksym __weak;
int bpf_timer_raw_cancel(__u32 i) __ksym __weak;
int bpf_timer_raw_try_to_cancel(__u32 i) __ksym __weak;
/* How many hrtimers expired since the last setup (0), and when the first (1) and last (2) did. */
__u64 bpf_timer_raw_seen(__u32 what) __ksym __weak;
/* Expires at @begin on this CPU, and then each @period. */
int bpf_timer_raw_tick(__u32 i, __u64 begin, __u64 period) __ksym __weak;
/* How late the expiry number @j was; -ENOENT if there was none. */
__s64 bpf_timer_raw_late(__u32 i, __u32 j) __ksym __weak;
__u64 bpf_timer_raw_missed(__u32 i) __ksym __weak;

#endif
