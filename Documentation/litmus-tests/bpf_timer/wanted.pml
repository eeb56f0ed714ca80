/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The protocol of a timer whose word says what is wanted.
 *
 * Two programs, the callback, the drain, the expiry of each alarm and the death
 * of the timer change the word, and make the alarms (the hrtimers) fit it. A
 * time that is wanted is taken once: to call the callback, or by a cancellation.
 *
 * What holds in all interleavings:
 * - When no operation is under way, an alarm is queued for the wanted time or
 *   earlier. If no time is wanted, no alarm is queued, but for one that is due,
 *   or one that a cancellation left since its expiry was running.
 * - No callback is called before its time, or twice at a time.
 * - No callback begins for a start that a cancellation has taken, or runs for
 *   one when a waiting cancellation returns.
 * - The callback that is called was set when its start looked for one. Nothing
 *   is called only if a cancellation came after the start, or beside it.
 * - In the end nothing is wanted, the timer is on no queue, and a dead timer is
 *   freed: once, and when nobody uses it any more.
 *
 * Each statement, and each atomic block, is one step of one CPU. Memory is
 * sequentially consistent here: the litmus tests say which barriers make it so.
 * A loop that exchanges the word until nobody came between is one step. There
 * is one clock, which goes on while anything else happens. Not in the model:
 * the wall clock set back, pinned starts, and the waits of callbacks for each
 * other.
 *
 * MAY0 and MAY1 say what a program does, OPS0 or OPS1 times: 1 start, 2 deferred
 * start, 4 cancel, 8 cancel with interrupts off, 16 cancel_async, 32 set_callback.
 *
 * Two starts for "now" at the same reading of the clock leave the same word, so
 * an expiry between them cannot tell them apart, and may call the callback of
 * the former. On a clock of 16 ns or less nobody can set a callback and start
 * in that time. CLOCK_MOVES says so.
 *
 * Run: -DMAY0=63 -DMAY1=63: any operation beside any other
 * Run: -DMAY0=3 -DMAY1=3 -DLAST=3: starts for earlier and later times
 * Run: -DMAY0=49 -DMAY1=0 -DOPS0=3 -DLAST=3 -DCLOCK_MOVES: the callback is replaced between starts
 * Run: -DMAY0=1 -DMAY1=36 -DOPS1=2 -DRESTARTS=1 -DCLOCK_MOVES: a callback that starts its own timer is cancelled
 * Run: -DMAY0=2 -DMAY1=8 -DKILL: the timer dies beside deferred operations
 * Run: -DMAY0=1 -DMAY1=4 -DKILL: the timer dies beside direct operations
 *
 * With two alarms the states are too many to visit all of them: none of the first
 * 135 million of a start on each alarm fails, and the guards are noticed sooner.
 *
 * Breaks: NO_LOOK -DMAY0=1 -DMAY1=4: who has acted does not look again, and a cancelled timer stays queued
 * Breaks: NO_LOOK -DMAY0=1 -DMAY1=1 -DLAST=3: who has acted does not look again, and an earlier start is lost
 * Breaks: LEAVE_CANCELLED -DMAY0=1 -DMAY1=4: who finds that nothing is wanted leaves the alarm queued
 * Breaks: LOOK_FIRST -DMAY0=2 -DMAY1=16 -DOPS0=2: a deferred start looks at the alarm before it changes the word
 * Breaks: TRUST_QUEUED -DMAY0=1 -DMAY1=1: an alarm that is queued for a later time is taken to fit
 * Breaks: TRUST_EXPIRES -DMAY0=1 -DMAY1=1: the expiry takes the time of the alarm for that of the clock
 * Breaks: CALLBACK_FIRST -DMAY0=49 -DMAY1=0 -DOPS0=3 -DLAST=3 -DCLOCK_MOVES: the expiry loads the callback before the word
 * Breaks: CLEAR_FIRST -DMAY0=1 -DMAY1=4: a cancellation clears the callback before it takes the time
 * Breaks: NO_WAIT -DMAY0=1 -DMAY1=4: a cancellation does not wait
 * Breaks: NO_RUNNING -DMAY0=1 -DMAY1=4: an expiry does not say that the callback runs
 * Breaks: NOT_COMPARED -DMAY0=1 -DMAY1=4: an expiry takes the time without a comparison
 * Breaks: NO_SECOND_ROUND -DMAY0=1 -DMAY1=36 -DOPS1=2 -DRESTARTS=1 -DCLOCK_MOVES: a cancellation leaves what the callback started
 * Breaks: NO_HANDOVER -DMAY0=3 -DMAY1=3: who has acted twice gives up, and does not ask for the drain
 * Breaks: QUEUE_DEAD -DMAY0=2 -DMAY1=0 -DKILL: a dead timer is put on a queue
 * Breaks: BURY_QUEUED -DMAY0=2 -DMAY1=0 -DKILL: a timer that is on a queue is buried by who killed it
 * Breaks: DRAIN_BARE -DMAY0=2 -DMAY1=0 -DKILL: the drain is no RCU reader
 * Breaks: FREE_EXPIRING -DMAY0=1 -DMAY1=0 -DOPS0=2 -DKILL: a timer is freed while its expiry runs
 * Breaks: NO_RUNNER -DALARMS=2 -DMAY0=1 -DMAY1=1: the expiry of one alarm calls while that of the other does
 * Breaks: LEAVE_NOTHING -DALARMS=2 -DMAY0=1 -DMAY1=1: who ran the callback leaves what the other alarm has left to it
 */
#ifndef ALARMS
#define ALARMS	1
#endif
#ifndef OPS0
#define OPS0	1
#endif
#ifndef OPS1
#define OPS1	1
#endif
#ifndef RESTARTS
#define RESTARTS 0
#endif
#ifndef LAST
#define LAST	2
#endif
#define NONE	0
#define DRAIN	2
#define EXPIRY	3
#define READERS	(EXPIRY + ALARMS)
#define B	(ALARMS - 1)

/* The word. */
byte wanted;
bit clock;
bool dead, queued, running;

/* The hrtimers, each change of which is made under the lock of its base. */
bool armed[ALARMS], expiring[ALARMS];
byte expires[ALARMS];

byte code = 1;		/* the callback, or 0 */
byte now = 1;
bool slot = true;	/* whether a program can find the timer */
bool on_list;		/* on the queue of the drain */
bool corpse, freed;	/* out of the slot, dead, and left to RCU; freed */
#ifdef KILL
bool reader[READERS];
#define READ(who)	reader[who] = true
#define UNREAD(who)	reader[who] = false
#else
#define READ(who)	skip
#define UNREAD(who)	skip
#endif

/* What no code knows of. */
byte under_way;		/* operations, drains and expiries */
byte starts;		/* the number of the last start */
byte version = 1;	/* of the callback that was set last */
/* Of cancellations that clear the callback: how often one took the time, how many returned. */
byte takes, returned;
byte restarted;		/* the last start that came from the callback */
#ifdef CLOCK_MOVES
byte used;		/* the times of starts, a bit each */
#define USE(time)	used = used | (1 << time)
#else
#define USE(time)	skip
#endif
byte number;		/* of the start whose time is wanted */
byte need, cleared;	/* what it saw of code and returned */
byte over;		/* no callback begins for this start, or for one before it */
byte calling;		/* the start whose callback runs */
bool refused;		/* an alarm was left queued, as its expiry ran */

#define USED	assert(!freed)
#define WANTED	(dead -> NONE : wanted)
#ifdef NO_HANDOVER
#define HAND_OVER	skip
#else
#define HAND_OVER	hand_over()
#endif
#ifdef TRUST_QUEUED
#define FITS	(w == NONE -> !armed[0] && !armed[B] : a)
#else
#define FITS	(w == NONE -> !armed[0] && !armed[B] : a && expires[c] <= w)
#endif

/* The end of an operation: if it was the last, the alarms fit the word. */
inline settle()
{
	under_way--;
	if
	:: under_way == 0 && !queued && !dead && wanted != NONE ->
		assert(armed[clock] && expires[clock] <= wanted)
	:: under_way == 0 && !queued && !dead && wanted == NONE && !refused ->
		assert(!armed[0] || expires[0] <= now);
		assert(!armed[B] || expires[B] <= now)
	:: else
	fi
}

/* Cancels an hrtimer without waiting, as hrtimer_try_to_cancel() does. */
inline take_out(i)
{
	if
	:: armed[i] && expiring[i] -> kept = true; refused = true
	:: else -> armed[i] = false
	fi
}

/* Loads the word, for a look at the alarm of its clock. */
#define LOAD_WORD	w = WANTED; c = clock

/* Asks for the drain, unless it was asked. */
inline hand_over()
{
	if
#ifdef QUEUE_DEAD
	:: !queued ->
#else
	:: !queued && !dead ->
#endif
		USED; queued = true; assert(!on_list); on_list = true
	:: else
	fi
}

/* Makes the alarms fit the word, which was w on clock c a moment ago. FITS tells what a look says. */
inline fit(most)
{
	atomic { USED; rounds = 0; a = armed[c] };
	do
	:: atomic {
		if
		:: FITS -> a = 0; break
		:: else
		fi;
		a = 0;
		if
		:: rounds == most -> HAND_OVER; break
		:: else -> rounds++
		fi
	   };
	   atomic {
		USED;
		if
#ifdef LEAVE_CANCELLED
		:: w == NONE -> break
#else
		:: w == NONE -> take_out(0)
#endif
		:: else -> armed[c] = true; expires[c] = w
		fi
#ifdef NO_LOOK
		; break
#endif
	   };
#if ALARMS == 2
	   atomic {
		if
		:: w == NONE -> take_out(1)
		:: else
		fi
	   };
#endif
	   /* Looks again, unless the word is the same. */
	   atomic {
		USED; v = w; k = c; LOAD_WORD;
		if
		:: v == w && k == c -> v = 0; k = 0; break
		:: else -> v = 0; k = 0
		fi
	   };
	   atomic { USED; a = armed[c] }
	od
}

inline begin(who)
{
	READ(who); under_way++
}

inline finish(who)
{
	atomic {
		w = 0; v = 0; k = 0; rounds = 0; c = 0; a = 0; kept = 0; done = 0;
		first = 0;
		settle();
		UNREAD(who)
	}
}

/* What a context does that must not touch the alarms: the look, and what follows from it. */
inline post()
{
	atomic { USED; a = armed[c] };
	atomic { hand_over_unless_fit() }
}

inline hand_over_unless_fit()
{
	if
	:: FITS
	:: else -> hand_over()
	fi
}

/* From a callback or a program: now, or at a later time. */
inline start(who, deferred)
{
	atomic { v = code; k = returned };
	if
	:: v == 0
	:: else ->
#ifdef LOOK_FIRST
		atomic { w = now; a = armed[0] };
#endif
		atomic {
			USED;
			if
#ifdef CLOCK_MOVES
			:: !(used & (1 << now)) -> w = now
			:: used & (1 << now) -> w = NONE
#else
			:: w = now
#endif
			:: now < LAST -> w = now + 1
			:: now < LAST - 1 -> w = LAST
			fi;
#if ALARMS == 2
			if
			:: c = 1
			:: c = 0
			fi;
#endif
			if
			:: dead || w == NONE -> done = true
			:: else ->
				wanted = w;
				clock = c;
				starts++;
				number = starts;
				need = v;
				cleared = k;
				if
				:: calling && who >= EXPIRY -> restarted = number
				:: else
				fi
			fi;
			USE(w);
			v = 0; k = 0
		};
#ifdef LOOK_FIRST
		if
		:: deferred -> atomic { hand_over_unless_fit(); done = true }
		:: else
		fi;
#endif
		if
		:: done
		:: !done && deferred -> post()
		:: !done && !deferred -> fit(2)
		fi
	fi
}

/* A cancellation takes the time that is wanted. */
inline take()
{
	USED;
	if
	:: !dead -> wanted = NONE
	:: else
	fi;
	w = NONE;
	first = starts
}

/* A cancellation has returned: nothing begins for the starts that it has seen. */
inline cancelled()
{
	if
	:: first > over -> over = first
	:: else
	fi
}

/* bpf_timer_cancel(), where it waits for the callback. */
inline cancel()
{
	do
	::
#ifdef CLEAR_FIRST
	   code = 0;
	   atomic { take(); takes++ };
#else
	   atomic { take(); takes++ };
	   code = 0;
#endif
	   if
	   :: armed[0] || armed[B] -> fit(2)
	   :: else
	   fi;
	   if
	   :: !running -> break
	   :: else
	   fi;
#ifdef NO_WAIT
	   break;
#endif
#ifdef NO_SECOND_ROUND
	   atomic {
		!running ->
		if
		:: restarted > first -> first = restarted
		:: else
		fi;
		break
	   }
#else
	   (!running)
#endif
	od;
	atomic {
		assert(!calling || calling > first);
		returned++;
		cancelled()
	}
}

/* bpf_timer_cancel(), where it must not wait, nor touch the alarms. */
inline cancel_anywhere()
{
	atomic { take(); takes++; done = running };
	code = 0;
	post();
	atomic {
		returned++;
		if
		:: !done -> cancelled()
		:: else
		fi
	}
}

/* bpf_timer_cancel_async(): leaves a timer alone whose callback runs. */
inline cancel_async()
{
	atomic {
		done = running;
		if
		:: !done -> take()
		:: else
		fi
	};
	if
	:: done
	:: else ->
		if
		:: armed[0] || armed[B] -> fit(2)
		:: else
		fi;
		atomic { cancelled() }
	fi
}

/*
 * w wanted time, or what its start saw; c its clock; a whether its alarm is queued; v callback, or
 * the time that was acted on; k cancellations that had returned, or the clock of that time; first the last start that a cancellation has seen, or the start
 * that is called.
 */
#define LOCALS	byte w, v, k, rounds, first; bit c; bool a, kept, done

proctype program(byte me; byte may; byte most)
{
	LOCALS;
	byte ops;

	do
	:: ops == most || may == 0 -> break
	:: atomic {
		ops < most && may && !slot -> ops++
	   }
	:: atomic {
		ops < most && may && slot -> ops++;
		begin(me)
	   };
	   if
	   :: may & 1 -> start(me, 0)
	   :: may & 2 -> start(me, 1)
	   :: may & 4 -> cancel()
	   :: may & 8 -> cancel_anywhere()
	   :: may & 16 -> cancel_async()
	   :: may & 32 -> atomic { USED; version++; code = version }
	   fi;
	   finish(me)
	od
}

inline bury()
{
	atomic { USED; assert(!corpse && !on_list); code = 0; take_out(0) };
	atomic { take_out(B); corpse = true }
}

#ifdef KILL
/* Deletes the element, once. */
proctype killer()
{
	bool kept;

	slot = false;
	atomic { code = 0; takes++ };
	atomic {
		dead = true;
		over = starts;
#ifndef BURY_QUEUED
		if
		:: queued -> goto out
		:: else
		fi
#endif
	};
	bury();
out:	skip
}

/* The grace period: who may have found the timer before it has left its section. */
proctype rcu()
{
	byte i;
	bool kept;

end:	corpse;
	do
	:: atomic { kept = false; i = 0 };
	   do
	   :: i < READERS -> atomic { !reader[i] -> i++ }
	   :: else -> break
	   od;
	   atomic {
		take_out(0);
		take_out(B);
#ifndef FREE_EXPIRING
		kept = kept || expiring[0] || expiring[B];
#endif
		if
		:: kept
		:: else -> break
		fi
	   }
	od;
	atomic {
		assert(!armed[0] && !armed[B] && !on_list && !freed);
		freed = true
	}
}
#endif

proctype drain()
{
	LOCALS;

end:	do
	:: atomic {
		on_list -> on_list = false;
#ifndef DRAIN_BARE
		READ(DRAIN);
#endif
		under_way++
	   };
	   atomic {
		assert(queued);
		USED;
		done = dead;
		queued = false;
		LOAD_WORD
	   };
	   if
	   :: done -> bury()
	   :: else -> fit(1)
	   fi;
	   finish(DRAIN)
	od
}

#ifdef TRUST_EXPIRES
#define DUE	(w <= expires[i])
#else
#define DUE	(w <= now)
#endif

/* A softirq that expires one alarm; it is over when the hrtimer core says so. */
proctype expiry(byte i)
{
	LOCALS;
	byte restarts;
	bool q;
	bit cc;

end:	do
	:: atomic {
		armed[i] && expires[i] <= now && !expiring[i] ->
		begin(EXPIRY + i);
		expiring[i] = true;
		armed[i] = false
	   };
	   do
	   ::
#ifdef CALLBACK_FIRST
	      v = code;
#endif
	      atomic {
		USED;
		LOAD_WORD;
		cc = c;
		q = queued;
#ifdef NO_RUNNER
		if
		:: w == NONE -> break
		:: else
		fi;
#else
		if
		:: w == NONE || running -> break
		:: else
		fi;
#endif
		if
		:: DUE -> done = true
		:: else -> done = false
		fi
	      };
	      if
	      :: !done -> fit(2); break
	      :: else
	      fi;
#ifndef CALLBACK_FIRST
	      v = code;
#endif
	      atomic {
		done = false;
#ifdef NOT_COMPARED
		if
		:: true ->
#else
		if
#ifdef NO_RUNNER
		:: !dead && wanted == w && clock == cc && queued == q ->
#else
		:: !dead && !running && wanted == w && clock == cc && queued == q ->
#endif
#endif
			assert(w <= now);
			done = true;
			wanted = NONE;
#ifndef NO_RUNNING
			running = true;
#endif
			first = number;
			w = need;
			k = cleared
		:: else
		fi;
		cc = 0; q = 0
	      };
	      if
	      :: !done
	      :: done && v == 0 -> assert(takes > k); break
	      :: else ->
		atomic {
			assert(!calling);
			assert(first > over || dead);
			assert(v >= w);
			calling = first;
			first = 0; w = 0; v = 0; k = 0; done = false
		};
		if
		:: restarts < RESTARTS -> restarts++; start(EXPIRY, 0)
		:: skip
		fi;
		atomic { calling = 0; done = true };
		break
	      fi
	   od;
	   if
	   :: done ->
		atomic { running = false; LOAD_WORD };
#if ALARMS == 2 && !defined(LEAVE_NOTHING)
		fit(2)
#endif
	   :: else
	   fi;
	   atomic { expiring[i] = false; q = 0; cc = 0 };
	   finish(EXPIRY + i)
	od
}

proctype clock_source()
{
	do
	:: now < LAST -> now++
	:: now == LAST -> break
	od
}

init {
	atomic {
		run program(0, MAY0, OPS0);
		run program(1, MAY1, OPS1);
		run drain();
		run expiry(0);
#if ALARMS == 2
		run expiry(1);
#endif
		run clock_source();
#ifdef KILL
		run killer();
		run rcu();
#endif
	};
	timeout;
	assert(dead || wanted == NONE);
	assert(!dead || freed);
	assert(!on_list && !running)
}
