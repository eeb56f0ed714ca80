/* SPDX-License-Identifier: GPL-2.0 */
/* Shared by the programs of timer_field_nat and user space. */

/* The states of an entry. They begin at 0, as does the value of a new element. */
enum { NONE, SYN, OPEN, IDLE, FIN, WAIT, DEAD, STATES };

/* Ports that the translator can use: so few that a slow kernel runs out of them, too. */
#define PORTS 8
