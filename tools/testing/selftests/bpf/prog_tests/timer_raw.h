/* SPDX-License-Identifier: GPL-2.0 */
/* Loads bpf_timer_raw.ko, which has hrtimers to compare BPF timers with. */
#ifndef __TIMER_RAW_LOAD_H
#define __TIMER_RAW_LOAD_H

#include <stdio.h>
#include <unistd.h>
#include "testing_helpers.h"

#define RAW_MODULE "bpf_timer_raw.ko"

/* Loads the module with @timers hrtimers. Returns false if it is not there. */
static inline bool load_raw(unsigned int timers)
{
	char params[32];

	if (access(RAW_MODULE, R_OK))
		return false;
	snprintf(params, sizeof(params), "timers=%u", timers);
	return ASSERT_OK(load_module_params(RAW_MODULE, params, false), "load " RAW_MODULE);
}

static inline void unload_raw(bool loaded)
{
	if (loaded)
		ASSERT_OK(unload_module("bpf_timer_raw", false), "unload " RAW_MODULE);
}

#endif
