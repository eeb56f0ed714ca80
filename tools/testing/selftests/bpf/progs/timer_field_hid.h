/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by timer_field_hid and user space. */
#ifndef __TIMER_FIELD_HID_H
#define __TIMER_FIELD_HID_H

/* The device numbers its reports. Every report with such a number ends a touch. */
#define is_end(number) ((number) % 61 == 0)

#endif
