// SPDX-License-Identifier: GPL-2.0-only

//! A fake map with fake programs, and functions that call a closure in another context.

use super::place::{
    callback,
    other_callback,
    set,
    spin_until,
    Place,
    Value, //
};
use crate::{
    exports::{
        bpf_timer_rust_init,
        bpf_timer_rust_set_callback, //
    },
    timer::TimerPtr, //
};

use core::ptr::NonNull;

use kernel::{
    bindings,
    bpf::{
        Callback,
        Prog, //
    },
    error::to_result,
    ffi::c_void,
    interrupt,
    prelude::*,
    processor::cpu_relax,
    sync::{
        atomic::{
            ordering::{
                Acquire,
                Relaxed, //
            },
            Atomic, //
        },
        rcu, //
    },
    types::Opaque, //
};

pub(super) const MONOTONIC: u64 = bindings::CLOCK_MONOTONIC as u64;
pub(super) const REALTIME: u64 = bindings::CLOCK_REALTIME as u64;
pub(super) const BOOTTIME: u64 = bindings::CLOCK_BOOTTIME as u64;
pub(super) const ABSOLUTE: u64 = bindings::BPF_F_TIMER_ABS as u64;
pub(super) const PINNED: u64 = bindings::BPF_F_TIMER_CPU_PIN as u64;
pub(super) const MSEC: u64 = 1_000_000;
/// So late that the test cancels the timer before it expires, even on a busy machine.
pub(super) const LATER: u64 = 100_000 * MSEC;

pub(super) fn errno(error: Error) -> u64 {
    i64::from(error.to_errno()) as u64
}

/// An element with the layout of a hash map's: a key, padded to eight bytes, and the value.
#[repr(C)]
pub(super) struct Element {
    pub(super) key: [u32; 2],
    value: Opaque<Value>,
}

/// A map with one element, and two programs.
#[repr(C)]
pub(super) struct Fixture {
    /// A `struct bpf_array`, which begins with the map. The values of the array follow it.
    array: Opaque<bindings::bpf_array>,
    array_values: [Opaque<Value>; 3],
    pub(super) element: Element,
    record: Opaque<bindings::btf_record>,
    ops: Opaque<bindings::bpf_map_ops>,
    progs: [Opaque<bindings::bpf_prog>; 2],
    auxs: [Opaque<bindings::bpf_prog_aux>; 2],
    /// The result of the init in [`has_element_too_late`].
    second_init: Atomic<u64>,
}

static_assert!(core::mem::offset_of!(Fixture, array_values) == size_of::<bindings::bpf_array>());

/// Says that the map has its one element.
///
/// # Safety
///
/// None. The type of the operation says that it is unsafe.
unsafe extern "C" fn has_element(_map: *mut bindings::bpf_map, _value: *const c_void) -> bool {
    true
}

/// Says that the element was deleted.
///
/// # Safety
///
/// None. The type of the operation says that it is unsafe.
unsafe extern "C" fn has_no_element(_map: *mut bindings::bpf_map, _value: *const c_void) -> bool {
    false
}

/// Says to an init that the element was deleted. Before that init can take back its timer, the next
/// owner of the element finds the timer there, abandons it, and makes another one.
///
/// # Safety
///
/// `map` must be the map of a [`Fixture`]. Only an init may call this.
unsafe extern "C" fn has_element_too_late(
    map: *mut bindings::bpf_map,
    _value: *const c_void,
) -> bool {
    // CAST: A fixture begins with its map.
    // SAFETY: By the safety requirement.
    let fixture = unsafe { &*map.cast::<Fixture>() };
    let place = fixture.element();

    fixture.set_has_value(has_element);
    if let Ok(timer) = place.inner(&rcu::read_lock()) {
        warn_unless(timer.word.abandon());
    }
    fixture
        .second_init
        .store(fixture.init(place, MONOTONIC), Relaxed);
    false
}

// SAFETY: Tests access the C structures as BPF programs do, or while no timer is started.
unsafe impl Sync for Fixture {}

impl Fixture {
    pub(super) fn new() -> Result<KBox<Self>> {
        let value = || Opaque::new(Value::new());
        let fixture = KBox::new(
            Self {
                array: Opaque::zeroed(),
                array_values: [value(), value(), value()],
                element: Element {
                    key: [0; 2],
                    value: value(),
                },
                record: Opaque::zeroed(),
                ops: Opaque::zeroed(),
                progs: [Opaque::zeroed(), Opaque::zeroed()],
                auxs: [Opaque::zeroed(), Opaque::zeroed()],
                // No init returns this.
                second_init: Atomic::new(1),
            },
            GFP_KERNEL,
        )?;

        // SAFETY: These are zeroed C structures, and nobody else has a pointer to them.
        unsafe {
            let array = fixture.array.get();
            (*array).elem_size = size_of::<Value>() as u32;
            let map = &mut (*array).map;
            map.map_type = bindings::bpf_map_type_BPF_MAP_TYPE_HASH;
            map.key_size = 4;
            map.numa_node = bindings::NUMA_NO_NODE;
            map.record = fixture.record.get();
            map.ops = fixture.ops.get();
            (*fixture.ops.get()).map_has_value = Some(has_element);
            map.usercnt.counter = 1;
            (*map.record).timer_off = core::mem::offset_of!(Value, timer) as i32;
            for (prog, aux) in fixture.progs.iter().zip(&fixture.auxs) {
                (*prog.get()).aux = aux.get();
                (*aux.get()).prog = prog.get();
                // The test's own reference, so that the program is never freed.
                (*aux.get()).refcnt.counter = 1;
            }
        }
        Ok(fixture)
    }

    /// Returns a map with a timer that has a callback.
    pub(super) fn with_timer() -> Result<(KBox<Self>, Place)> {
        let fixture = Self::new()?;
        let place = fixture.element();

        fixture.prepare(place, MONOTONIC);
        Ok((fixture, place))
    }

    pub(super) fn map(&self) -> *mut bindings::bpf_map {
        self.array.get().cast()
    }

    fn set_has_value(
        &self,
        has_value: unsafe extern "C" fn(*mut bindings::bpf_map, *const c_void) -> bool,
    ) {
        // SAFETY: No other task and no callback looks up an element of the map at this time.
        unsafe { (*self.ops.get()).map_has_value = Some(has_value) };
    }

    /// Makes the map look as if the element had been deleted.
    pub(super) fn delete_element(&self) {
        self.set_has_value(has_no_element);
    }

    /// Makes the map look as if it used the element's memory for another element.
    pub(super) fn reuse_element(&self) {
        self.set_has_value(has_element);
    }

    /// Makes the element look deleted to the next init only, by [`has_element_too_late`].
    pub(super) fn delete_element_for_a_moment(&self) {
        self.set_has_value(has_element_too_late);
    }

    /// Returns what the init in [`has_element_too_late`] has returned.
    pub(super) fn result_of_second_init(&self) -> u64 {
        self.second_init.load(Relaxed)
    }

    pub(super) fn set_user_refs(&self, refs: i64) {
        // SAFETY: This field of our map is only accessed with atomic operations.
        unsafe { Atomic::from_ptr(&raw mut (*self.map()).usercnt.counter) }.store(refs, Relaxed);
    }

    /// Makes this a map of another kind. There must be no timer in it yet.
    pub(super) fn set_kind(&self, kind: bindings::bpf_map_type, key_size: u32) {
        // SAFETY: There is no timer in the map yet.
        unsafe {
            (*self.map()).map_type = kind;
            (*self.map()).key_size = key_size;
        }
    }

    pub(super) fn element(&self) -> Place {
        Place(self.element.value.get())
    }

    pub(super) fn elements_of_array(&self) -> [Place; 3] {
        self.array_values.each_ref().map(|value| Place(value.get()))
    }

    fn refs(&self, prog: usize) -> &Atomic<i64> {
        // SAFETY: This field of our program is only accessed with atomic operations.
        unsafe { Atomic::from_ptr(&raw mut (*self.auxs[prog].get()).refcnt.counter) }
    }

    pub(super) fn prog_refs(&self, prog: usize) -> i64 {
        self.refs(prog).load(Relaxed)
    }

    /// Spins until the program has `refs` references, as [`spin_until`] does. Returns how many it
    /// has.
    pub(super) fn spin_for_prog_refs(&self, prog: usize, refs: i64) -> i64 {
        spin_until(|| self.prog_refs(prog) == refs);
        self.prog_refs(prog)
    }

    pub(super) fn set_prog_refs(&self, prog: usize, refs: i64) {
        self.refs(prog).store(refs, Relaxed);
    }

    pub(super) fn init(&self, place: Place, flags: u64) -> u64 {
        let _reader = rcu::read_lock();

        // SAFETY: The timer is in a value of the map. `_reader` makes us a reader, as programs are.
        unsafe { bpf_timer_rust_init(place.timer(), self.map(), flags) as u64 }
    }

    fn set_code(&self, place: Place, prog: usize, code: *const c_void) -> u64 {
        let timer = place.timer();
        let prog = self.progs[prog].get();
        let _reader = rcu::read_lock();

        // SAFETY: The timer is in a value of the map. `_reader` makes us a reader, as programs are.
        // The code has the type of a callback.
        unsafe { bpf_timer_rust_set_callback(timer, code.cast_mut(), prog) as u64 }
    }

    pub(super) fn set_callback(&self, place: Place, prog: usize) -> u64 {
        self.set_code(place, prog, callback as *const c_void)
    }

    /// Sets the callback of a dead timer, as an operation can that saw the timer alive before.
    pub(super) fn set_callback_late(&self, timer: TimerPtr<'_>) -> Result {
        let code = NonNull::new(callback as *mut c_void).ok_or(EINVAL)?;

        // SAFETY: The fixture keeps the program. The code has the type of a callback, and stays
        // longer than a program's.
        unsafe {
            let prog = Prog::from_raw(self.progs[0].get());
            timer.callback.set(prog, Callback::from_raw(code))
        }
    }

    pub(super) fn set_other_callback(&self, place: Place, prog: usize) -> u64 {
        self.set_code(place, prog, other_callback as *const c_void)
    }

    /// Makes a timer with a callback.
    pub(super) fn prepare(&self, place: Place, clock: u64) {
        warn_unless(self.init(place, clock) == 0);
        warn_unless(self.set_callback(place, 0) == 0);
    }
}

/// Checks a condition in functions of the fixture, which cannot use KUnit's assertions.
fn warn_unless(condition: bool) {
    kernel::warn_on!(!condition);
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.set_user_refs(0);
        self.element().free();
        for place in self.elements_of_array() {
            place.free();
        }
        // The timers refer to the map and the programs until a grace period has passed.
        rcu::synchronize_rcu();
        rcu::tasks_trace::barrier();
    }
}

/// Calls `f` with interrupts off, so that operations are left to the drain. The drain runs right
/// after `f`.
pub(super) fn with_irqs_off<R>(f: impl FnOnce() -> R) -> R {
    let _irqs_off = interrupt::local_interrupt_disable();

    f()
}

/// Calls `f` in a task on the given CPU, or fails if there is no such CPU.
pub(super) fn on_cpu<F: Fn() + Sync>(cpu: u32, f: &F) -> Result {
    /// # Safety
    ///
    /// `f` must point at an `F`.
    unsafe extern "C" fn call<F: Fn()>(f: *mut c_void) -> i32 {
        // SAFETY: By the safety requirement.
        unsafe { (*f.cast::<F>())() };
        0
    }
    let f = core::ptr::from_ref(f).cast_mut().cast();

    // SAFETY: `call` may be called on any CPU with `f`, which outlives the call.
    to_result(unsafe { bindings::smp_call_on_cpu(cpu, Some(call::<F>), f, false) })
}

/// Calls `f` in an interrupt on another CPU. At the same time, this CPU calls `here`.
pub(super) fn beside<F: Fn() + Sync>(cpu: u32, f: &F, here: impl FnOnce()) -> Result {
    struct Call<'a, F> {
        f: &'a F,
        done: Atomic<bool>,
    }
    /// # Safety
    ///
    /// `call` must point at a [`Call`] of an `F`.
    unsafe extern "C" fn call<F: Fn()>(call: *mut c_void) {
        // SAFETY: By the safety requirement.
        let call = unsafe { &*call.cast::<Call<'_, F>>() };

        (call.f)();
        set(&call.done);
    }
    let this = Call {
        f,
        done: Atomic::new(false),
    };
    let ptr = core::ptr::from_ref(&this).cast_mut().cast();

    // SAFETY: `call` may be called on any CPU with `this`, which outlives the call.
    to_result(unsafe {
        bindings::smp_call_function_single(cpu as i32, Some(call::<F>), ptr, false)
    })?;
    here();
    // Acquire: pairs with the store in `set()`.
    while !this.done.load(Acquire) {
        cpu_relax();
    }
    Ok(())
}
