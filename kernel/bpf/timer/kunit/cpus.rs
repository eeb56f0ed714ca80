// SPDX-License-Identifier: GPL-2.0-only

//! Operations of two CPUs on one timer. With one CPU, these tests are skipped.
//!
//! - R1: `start_beside_free_leaves_no_armed_timer`
//! - R2: `set_callback_beside_another_holds_one_program`
//! - R3: `init_beside_last_close_leaves_no_timer`
//! - R4: `cancel_waits_for_the_callback`, `free_does_not_wait_for_the_callback`
//! - R5: `direct_*`
//! - H14: `cancel_with_interrupts_off_does_not_wait_for_the_callback`
//! - Look, act, look again: `pinned_start_moves_a_timer_that_is_armed`,
//!   `cancel_async_changes_nothing_while_the_callback_runs`
//! - The time of day: `wall_clock_*`

use super::{
    fixture::*,
    place::*, //
};

use kernel::{
    bindings, cpu,
    error::{
        code,
        to_result, //
    },
    kunit,
    prelude::*,
    processor::cpu_relax,
    sync::atomic::{
        ordering::{
            Acquire,
            Relaxed,
            Release, //
        },
        Atomic, //
    },
    time::{
        delay::{
            fsleep,
            udelay, //
        },
        hrtimer::soft::ClockId,
        ClockSource,
        Delta,
        Monotonic, //
    },
};

/// How often a test repeats its race.
const ROUNDS: usize = 1000;

/// The CPU that runs the test, and another CPU.
const HERE: u32 = 0;
const THERE: u32 = 1;

/// Runs `test` on CPU 0, or skips it if there is no other CPU.
fn with_two_cpus(test: impl Fn() -> Result + Sync) -> Result {
    let result = Atomic::new(0);

    if cpu::nr_cpu_ids() < 2 {
        kunit::mark_skipped(fmt!("needs two CPUs"));
        return Ok(());
    }
    wait_for_clock_source();
    on_cpu(HERE, &|| {
        result.store(test().err().map_or(0, Error::to_errno), Relaxed);
    })?;
    to_result(result.load(Relaxed))
}

/// Waits until the kernel has chosen its clock source, some seconds after boot. To change the clock
/// source, the kernel stops all CPUs, even a CPU that another one waits for.
fn wait_for_clock_source() {
    const CHOSEN: Delta = Delta::from_secs(5);
    let up = Delta::from_nanos(Monotonic::ktime_get());

    if up < CHOSEN {
        fsleep(CHOSEN - up);
    }
}

/// Returns an error if `condition` is false. The tests that [`with_two_cpus`] runs return this,
/// since KUnit's assertions only work in the task of KUnit.
fn expect(condition: bool, what: &CStr) -> Result {
    if condition {
        return Ok(());
    }
    kunit::err(fmt!("not so: {}\n", what));
    Err(code::EINVAL)
}

/// Starts a timer so that it expires on the other CPU. An interrupt starts it there, because the
/// callback could hold up a task before the task has reported that the timer is started.
fn start_there(place: Place, nsecs: u64, flags: u64) -> Result {
    let start = || {
        place.start(nsecs, flags | PINNED);
    };

    beside(THERE, &start, || ())
}

fn expect_ran_on(place: Place, cpu: u32) -> Result {
    let ran_on = place.value().cpu.load(Relaxed);

    expect(ran_on == i64::from(cpu), c"the timer fires on its CPU")
}

/// Calls `deferred` with interrupts off, so that its operation is left to the drain. Before the
/// drain can run, the callback of `vehicle` calls `direct` on the other CPU.
fn direct_after_deferred(
    vehicle: Place,
    direct: impl Fn() + Sync,
    deferred: impl FnOnce(),
) -> Result {
    let is_deferred = Atomic::new(false);
    let is_overtaken = Atomic::new(false);
    let script = || {
        spin_until_set(&is_deferred);
        direct();
        set(&is_overtaken);
    };

    vehicle.with_script(&script, || {
        start_there(vehicle, 20 * MSEC, 0)?;
        let in_time = with_irqs_off(|| {
            deferred();
            set(&is_deferred);
            spin_until_set(&is_overtaken)
        });
        expect(in_time, c"the other CPU was in time")
    })
}

/// Holds up a callback until the test lets it go on.
struct Gate {
    is_reached: Atomic<bool>,
    is_open: Atomic<bool>,
}

impl Gate {
    fn new() -> Self {
        Self {
            is_reached: Atomic::new(false),
            is_open: Atomic::new(false),
        }
    }

    /// Waits, in the callback, until the gate is open.
    fn pass(&self) {
        set(&self.is_reached);
        spin_until_set(&self.is_open);
    }

    /// Lets the callback go on.
    fn open(&self) {
        set(&self.is_open);
    }
}

/// Runs the callback on the other CPU, up to `gate`.
fn run_there(place: Place, gate: &Gate) -> Result {
    start_there(place, MSEC, 0)?;
    expect(spin_until_set(&gate.is_reached), c"the callback runs")
}

/// Runs `test` on CPU 0, with an element that has no timer.
fn with_element(test: impl Fn(&Fixture, Place) -> Result + Sync) -> Result {
    with_two_cpus(|| {
        let fixture = Fixture::new()?;

        test(&fixture, fixture.element())
    })
}

/// Runs `test` on CPU 0, with a timer on the real-time clock.
fn with_wall_clock_timer(test: impl Fn(&Fixture, Place) -> Result + Sync) -> Result {
    with_element(|fixture, place| {
        fixture.prepare(place, REALTIME);
        test(fixture, place)
    })
}

/// Runs `test` on CPU 0, with two timers. The callback of the first, the vehicle, can bring an
/// operation on the second to the other CPU.
fn with_vehicle(test: impl Fn(&Fixture, Place, Place) -> Result + Sync) -> Result {
    with_two_cpus(|| {
        let fixture = Fixture::new()?;
        fixture.set_kind(bindings::bpf_map_type_BPF_MAP_TYPE_ARRAY, 4);
        let [vehicle, place, _] = fixture.elements_of_array();

        fixture.prepare(vehicle, MONOTONIC);
        fixture.prepare(place, MONOTONIC);
        test(&fixture, vehicle, place)
    })
}

#[kunit_tests(bpf_timer_cpus)]
mod tests {
    use super::*;

    /// The hrtimer core moves a timer that is not pinned from an idle CPU to a busy one.
    #[test]
    fn pinned_start_of_an_idle_cpu_fires_there() -> Result {
        with_vehicle(|fixture, vehicle, place| {
            for clock in [ClockId::Monotonic, ClockId::BootTime, ClockId::RealTime] {
                for flags in [PINNED, PINNED | ABSOLUTE] {
                    place.free();
                    fixture.prepare(place, clock as u64);
                    let from = if flags == PINNED { 0 } else { clock.now() };
                    let start = || {
                        place.start(from as u64 + 100 * MSEC, flags);
                    };
                    let runs = place.runs();

                    vehicle.with_script(&start, || {
                        start_there(vehicle, 20 * MSEC, 0)?;
                        // Sleeping would make this CPU idle, too.
                        expect(spin_until(|| place.runs() > runs), c"the timer fires")
                    })?;
                    expect_ran_on(place, THERE)?;
                }
            }
            Ok(())
        })
    }

    #[test]
    fn pinned_start_fires_on_its_cpu() -> Result {
        with_two_cpus(|| {
            let (_fixture, place) = Fixture::with_timer()?;

            for (runs, cpu) in [HERE, THERE, HERE, THERE].into_iter().enumerate() {
                on_cpu(cpu, &|| {
                    place.start(MSEC, PINNED);
                })?;
                expect(
                    place.wait_for(runs as i64 + 1) == runs as i64 + 1,
                    c"the timer fires",
                )?;
                expect_ran_on(place, cpu)?;
            }
            Ok(())
        })
    }

    /// A start for a later time leaves an armed timer on its CPU, unless the start is pinned.
    #[test]
    fn pinned_start_moves_a_timer_that_is_armed() -> Result {
        with_element(|fixture, place| {
            for clock in [MONOTONIC, REALTIME] {
                place.free();
                fixture.prepare(place, clock);
                let runs = place.runs();

                on_cpu(HERE, &|| {
                    place.start(100 * MSEC, PINNED);
                })?;
                on_cpu(THERE, &|| {
                    place.start(120 * MSEC, PINNED);
                })?;
                expect(place.wait_for(runs + 1) == runs + 1, c"the timer fires")?;
                expect_ran_on(place, THERE)?;
            }
            Ok(())
        })
    }

    #[test]
    fn one_of_two_inits_succeeds() -> Result {
        with_element(|fixture, place| {
            for _ in 0..ROUNDS {
                let theirs = Atomic::new(0);
                let mut ours = 0;
                let init = || theirs.store(fixture.init(place, MONOTONIC), Relaxed);

                beside(THERE, &init, || ours = fixture.init(place, MONOTONIC))?;
                let mut results = [ours, theirs.load(Relaxed)];
                results.sort_unstable();
                // The other is in an interrupt. There, `PREEMPT_RT` has no memory, nor do machines
                // without a double-word cmpxchg when the stock of the CPU is used up.
                let may_fail = cfg!(CONFIG_PREEMPT_RT) || !cfg!(CONFIG_HAVE_CMPXCHG_DOUBLE);
                let no_memory = may_fail && results[1] == errno(code::ENOMEM);
                expect(
                    results == [0, errno(code::EBUSY)] || no_memory && results[0] == 0,
                    c"one init succeeds",
                )?;
                place.free();
            }
            Ok(())
        })
    }

    /// No timer stays in the slot, no matter whether init or the walk over the elements comes first
    /// (R3).
    #[test]
    fn init_beside_last_close_leaves_no_timer() -> Result {
        with_element(|fixture, place| {
            let mut delay: u32 = 0;

            for _ in 0..ROUNDS {
                let ready = Atomic::new(false);
                let release = || {
                    set(&ready);
                    for _ in 0..delay {
                        cpu_relax();
                    }
                    fixture.set_user_refs(0);
                    place.free();
                };
                let mut result = 0;

                fixture.set_user_refs(1);
                beside(THERE, &release, || {
                    spin_until_set(&ready);
                    result = fixture.init(place, MONOTONIC);
                })?;
                // Aim at the moment when the init looks for users.
                if result == 0 {
                    delay = delay.saturating_sub(1);
                } else {
                    delay += 1;
                }
                expect(place.is_empty(), c"the slot is empty")?;
            }
            Ok(())
        })
    }

    #[test]
    fn start_beside_free_leaves_no_armed_timer() -> Result {
        with_element(|fixture, place| {
            for _ in 0..ROUNDS {
                fixture.prepare(place, MONOTONIC);
                let start = || {
                    place.start(LATER, 0);
                };
                beside(THERE, &start, || place.free())?;
                expect(place.is_empty(), c"the slot is empty")?;
            }
            expect(place.settle() == 0, c"no freed timer fires")?;
            expect(fixture.prog_refs(0) == 1, c"the program is dropped")
        })
    }

    #[test]
    fn set_callback_beside_another_holds_one_program() -> Result {
        with_two_cpus(|| {
            let (fixture, place) = Fixture::with_timer()?;

            for _ in 0..ROUNDS {
                let set = || {
                    fixture.set_other_callback(place, 1);
                };
                beside(THERE, &set, || {
                    fixture.set_callback(place, 0);
                })?;
                expect(
                    fixture.prog_refs(0) + fixture.prog_refs(1) == 3,
                    c"one program is held",
                )?;
                expect(
                    place.has_other_callback()? == (fixture.prog_refs(1) == 2),
                    c"the callback is of the program that is held",
                )?;
            }
            let other = fixture.prog_refs(1) == 2;
            place.start(0, 0);
            expect(
                place.wait_for(1) == if other { 100 } else { 1 },
                c"the callback of the held program runs",
            )
        })
    }

    #[test]
    fn direct_cancel_overrides_start_pending_on_another_cpu() -> Result {
        with_vehicle(|_, vehicle, place| {
            let cancelled = Atomic::new(0);
            let cancel = || cancelled.store(place.try_cancel(), Relaxed);

            direct_after_deferred(vehicle, cancel, || {
                place.start(LATER, 0);
            })?;
            expect(
                cancelled.load(Relaxed) == 1,
                c"a pending start counts as armed",
            )?;
            expect(place.try_cancel() == 0, c"the older start is not executed")
        })
    }

    #[test]
    fn direct_start_overrides_cancel_pending_on_another_cpu() -> Result {
        with_vehicle(|_, vehicle, place| {
            let start = || {
                place.start(LATER, 0);
            };

            direct_after_deferred(vehicle, start, || {
                place.try_cancel();
            })?;
            expect(place.try_cancel() == 1, c"the older cancel is not executed")
        })
    }

    #[test]
    fn cancel_async_changes_nothing_while_the_callback_runs() -> Result {
        with_vehicle(|_, _, place| {
            let gate = Gate::new();
            let cancelled = Atomic::new(0);
            let has_cancelled = Atomic::new(false);
            let script = || {
                gate.pass();
                cancelled.store(place.try_cancel(), Relaxed);
                set(&has_cancelled);
            };

            place.with_script(&script, || {
                run_there(place, &gate)?;
                let in_time = with_irqs_off(|| {
                    place.start(LATER, 0);
                    gate.open();
                    spin_until_set(&has_cancelled)
                });
                expect(in_time, c"the other CPU was in time")?;
                expect(cancelled.load(Relaxed) == -1, c"the callback is running")?;
                expect(place.wait_for(1) == 1, c"the callback ends")?;
                expect(place.cancel() == 1, c"the timer is armed")
            })
        })
    }

    #[test]
    fn cancel_with_interrupts_off_does_not_wait_for_the_callback() -> Result {
        with_vehicle(|fixture, _, place| {
            let gate = Gate::new();

            place.with_script(&|| gate.pass(), || {
                run_there(place, &gate)?;
                place.start(LATER, 0);
                let result = with_irqs_off(|| place.cancel());
                expect(result == errno(code::EBUSY), c"the callback runs")?;
                expect(fixture.prog_refs(0) == 2, c"the callback is dropped")?;
                gate.open();
                expect(place.cancel() == 0, c"the start is taken back")
            })
        })
    }

    #[test]
    fn cancel_waits_for_the_callback() -> Result {
        with_vehicle(|fixture, _, place| {
            let gate = Gate::new();
            let has_ended = Atomic::new(false);
            let script = || {
                gate.pass();
                udelay(Delta::from_millis(2));
                // Release: pairs with the load after the cancellation.
                has_ended.store(true, Release);
            };

            place.with_script(&script, || {
                run_there(place, &gate)?;
                expect(place.try_cancel() == -1, c"the callback is running")?;
                gate.open();
                expect(place.cancel() == 0, c"the timer is not armed")?;
                // Acquire: pairs with the store in the callback.
                expect(has_ended.load(Acquire), c"the callback has ended")?;
                expect(
                    fixture.prog_refs(0) == 2,
                    c"only the other timer's program is held",
                )
            })
        })
    }

    #[test]
    fn free_does_not_wait_for_the_callback() -> Result {
        with_vehicle(|_, _, place| {
            let gate = Gate::new();

            place.with_script(&|| gate.pass(), || {
                run_there(place, &gate)?;
                place.free();
                expect(place.runs() == 0, c"the callback still runs")?;
                gate.open();
                expect(place.wait_for(1) == 1, c"the callback ends")
            })
        })
    }

    #[test]
    fn wall_clock_callback_does_not_run_twice_at_a_time() -> Result {
        with_wall_clock_timer(|_, place| {
            let gate = Gate::new();
            let running = Atomic::new(0i32);
            let most_running = Atomic::new(0i32);
            let script = || {
                let now = running.fetch_add(1, Relaxed) + 1;
                let most = most_running.load(Relaxed).max(now);

                most_running.store(most, Relaxed);
                gate.pass();
                running.fetch_sub(1, Relaxed);
            };

            place.with_script(&script, || {
                run_there(place, &gate)?;
                // This start uses the other base, and this CPU.
                place.start(soon(), ABSOLUTE | PINNED);
                place.settle();
                gate.open();
                expect(place.wait_for(2) == 2, c"the callback runs again")?;
                expect(most_running.load(Relaxed) == 1, c"one run at a time")
            })
        })
    }

    #[test]
    fn wall_clock_timer_that_expired_beside_its_callback_can_move() -> Result {
        with_wall_clock_timer(|_, place| {
            let gate = Gate::new();

            place.with_script(&|| gate.pass(), || {
                run_there(place, &gate)?;
                place.start(soon(), ABSOLUTE | PINNED);
                place.settle();
                place.start(LATER, 0);
                gate.open();
                expect(place.wait_for(1) == 1, c"the callback runs")?;
                expect(place.settle() == 1, c"the callback runs once")?;
                expect(place.cancel() == 1, c"the timer is armed")
            })
        })
    }

    #[test]
    fn wall_clock_cancel_outlasts_a_callback_that_changes_bases() -> Result {
        with_wall_clock_timer(|fixture, place| {
            // Do it often: a cancellation that is held up may come after the callback has ended.
            for runs in 1..=5 {
                let is_running = Atomic::new(false);
                let script = || {
                    set(&is_running);
                    // A cancellation drops the callback, and then waits for this to return.
                    fixture.spin_for_prog_refs(0, 1);
                    udelay(Delta::from_millis(2));
                    fixture.set_callback(place, 0);
                    place.start(LATER, PINNED);
                };

                fixture.set_callback(place, 0);
                place.with_script(&script, || {
                    start_there(place, soon(), ABSOLUTE)?;
                    expect(spin_until_set(&is_running), c"the callback runs")?;
                    expect(place.cancel() == 1, c"the new start counts as armed")?;
                    expect(place.runs() == runs, c"the callback has ended")?;
                    expect(place.cancel() == 0, c"the timer is not armed any more")
                })?;
            }
            Ok(())
        })
    }
}
