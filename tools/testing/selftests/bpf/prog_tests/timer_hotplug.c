// SPDX-License-Identifier: GPL-2.0
/*
 * A CPU goes offline and comes back while programs use timers. A CPU that is going offline
 * raises no interrupt for operations that a program leaves to it: another CPU must do them.
 *
 * BPF_TIMER_STEP=function restricts the steps to one.
 *
 * Covers R8 and H12.
 */
#include <pthread.h>
#include <test_progs.h>
#include "timer_hotplug.skel.h"
#include "timer_memory.h"
#include "timer_online.h"
#include "../progs/timer_hotplug.h"

/* The CPU that goes offline and comes back. */
#define CPU 1
#define ANY_CPU -1
#define ALL_ACTIONS (DO_START | DO_CANCEL | DO_DELETE | DO_DROP)
#define ROUNDS 10
/* Usually longer than a virtual CPU is away. */
#define LEAVE_USECS 300000

struct elem {
	__u64 timer[2];
	__u64 runs;
};

/*
 * A function of the kernel in which a program acts, on the way down or up. Operations that it
 * leaves to the CPU on the way down are done while the CPU is offline or, if @late, when it
 * is back.
 */
struct step {
	const char *function;
	int cpu;
	bool up;
	bool late;
	bool probe;
	bool unwatched;
};

static __u64 runs_of(struct timer_hotplug *skel, __u32 index)
{
	struct elem elem = {};

	bpf_map_lookup_elem(bpf_map__fd(skel->maps.timers), &index, &elem);
	return elem.runs;
}

static bool run_on(int cpu, const struct bpf_program *prog)
{
	struct run_on_cpu job;

	return begin_run(&job, cpu, bpf_program__fd(prog)) &&
	       ASSERT_OK(end_run(&job), bpf_program__name(prog));
}

/* Shared by all steps. @acted counts the steps at which a program has acted. */
struct scene {
	struct timer_memory *memory;
	struct timer_hotplug *skel;
	struct btf *btf;
	int acted;
};

static void leave_scene(struct scene *scene)
{
	btf__free(scene->btf);
	timer_hotplug__destroy(scene->skel);
	if (scene->acted)
		check_memory(scene->memory, 1);
	else
		test__skip();
	timer_memory__destroy(scene->memory);
}

static struct timer_hotplug *load_for_steps(void)
{
	struct timer_hotplug *skel = timer_hotplug__open();

	if (!ASSERT_OK_PTR(skel, "open"))
		return NULL;
	bpf_program__set_autoload(skel->progs.at_entry, true);
	bpf_program__set_autoload(skel->progs.at_probe, true);
	if (ASSERT_OK(timer_hotplug__load(skel), "load"))
		return skel;
	timer_hotplug__destroy(skel);
	return NULL;
}

static bool enter_scene(struct scene *scene)
{
	memset(scene, 0, sizeof(*scene));
	scene->memory = watch_memory();
	if (!scene->memory)
		return false;
	scene->skel = load_for_steps();
	scene->btf = btf__load_vmlinux_btf();
	if (scene->skel && ASSERT_OK_PTR(scene->btf, "BTF"))
		return true;
	leave_scene(scene);
	return false;
}

/* The program at a step: a copy or, in a probe, the program of the skeleton. */
struct actor {
	int prog;
	int link;
	struct bpf_link *probe;
};

/* Returns a descriptor, or an error if no program can be attached to @function. */
static int load_at(struct scene *scene, const char *function)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts);
	int id = btf__find_by_name_kind(scene->btf, function, BTF_KIND_FUNC);

	if (id < 0)
		return id;
	opts.attach_btf_id = id;
	return bpf_program__clone(scene->skel->progs.at_entry, &opts);
}

static int attach_at(struct scene *scene, const struct step *step, struct actor *actor)
{
	/* Lockdep complains if a program runs where RCU does not watch the CPU. */
	if (step->unwatched && !access("/proc/lockdep", F_OK))
		return -EPERM;
	if (step->probe) {
		actor->probe = attach_probe(scene->skel->progs.at_probe, step->function);
		return actor->probe ? 0 : -errno;
	}
	actor->prog = load_at(scene, step->function);
	if (actor->prog < 0)
		return actor->prog;
	actor->link = bpf_link_create(actor->prog, 0, BPF_TRACE_FENTRY, NULL);
	return actor->link < 0 ? actor->link : 0;
}

static void detach(struct actor *actor)
{
	bpf_link__destroy(actor->probe);
	if (actor->link >= 0)
		close(actor->link);
	if (actor->prog >= 0)
		close(actor->prog);
}

static bool init(struct timer_hotplug *skel, __u32 index)
{
	skel->bss->slot = index;
	return ASSERT_OK(run(skel->progs.init), "run init") && ASSERT_OK(skel->bss->err, "init");
}

/* Makes a timer that holds the last reference to its program. Returns the program's id. */
static __u32 init_alone(struct timer_hotplug *skel, __u32 index)
{
	__u32 id;

	skel->bss->slot = index;
	id = run_alone(skel->progs.init);
	return ASSERT_OK(skel->bss->err, "init") ? id : 0;
}

/* Asks the program for @actions, and clears their results. */
static void ask_for(struct timer_hotplug *skel, const struct step *step, __u32 actions)
{
	skel->bss->hits = 0;
	skel->bss->on_cpu = step->cpu;
	skel->bss->actions = actions;
	skel->data->started = 1;
	skel->data->cancel_started = 1;
	skel->data->cancelled = 2;
	skel->data->deleting = 1;
	skel->data->dropped = 1;
}

/* Makes the timers that a step uses. Returns the id of a program that one of them holds. */
static __u32 set_up(struct timer_hotplug *skel, const struct step *step, __u32 actions)
{
	ask_for(skel, step, actions);
	if (!init(skel, STARTED) || !init(skel, CANCELLED) || !init(skel, LATER) ||
	    !run_on(CPU, skel->progs.arm_deleted) || !ASSERT_OK(skel->bss->err, "arm"))
		return 0;
	return init_alone(skel, HELD);
}

/* Waits until all that the step left to its CPU is done. @left timers were there before it. */
static bool check_done(struct scene *scene, __s64 left, __u32 held)
{
	struct timer_hotplug *skel = scene->skel;
	__u32 actions = skel->bss->actions;

	if (!ASSERT_GT(skel->bss->hits, 0, "came there"))
		return false;
	if (actions & DO_START &&
	    (!ASSERT_OK(skel->data->started, "start") ||
	     !ASSERT_TRUE(comes_true(runs_of(skel, STARTED)), "fires")))
		return false;
	if (actions & DO_DROP &&
	    (!ASSERT_OK(skel->data->dropped, "drop") ||
	     !ASSERT_TRUE(is_unloaded(held), "unloaded")))
		return false;
	return !(actions & DO_DELETE) ||
	       (ASSERT_OK(skel->data->deleting, "delete") &&
		ASSERT_TRUE(comes_true(left_of(scene->memory) < left), "is freed"));
}

/* Makes and deletes timers, which are freed when a grace period of Tasks Trace RCU ends. */
static bool check_grace_periods(struct timer_memory *memory)
{
	__s64 left = left_of(memory);
	__u32 key;

	ASSERT_OK(run(memory->progs.make_and_delete), "make and delete");
	for (key = 0; key < 2; key++)
		bpf_map_delete_elem(bpf_map__fd(memory->maps.timers), &key);
	return ASSERT_TRUE(comes_true(left_of(memory) <= left), "all are freed");
}

/* Checks that the CPU is back and runs its irq_works. */
static bool check_start_later(struct timer_hotplug *skel)
{
	__u64 runs = runs_of(skel, LATER);

	return run_on(CPU, skel->progs.start_later) && ASSERT_OK(skel->bss->err, "start later") &&
	       ASSERT_TRUE(comes_true(runs_of(skel, LATER) == runs + 1), "later fires");
}

static bool check_cancelled(struct timer_hotplug *skel)
{
	int cancelled = skel->data->cancelled;

	sleep_until(skel->bss->cancelled_expiry + 20 * NSEC_PER_MSEC);
	/* If its CPU was away, the timer may have been due when it was cancelled. */
	return ASSERT_OK(skel->data->cancel_started, "start to cancel") &&
	       ASSERT_LE(cancelled, 1, "cancel") &&
	       ASSERT_LE(runs_of(skel, CANCELLED), cancelled == 0 || cancelled == -1, "cancelled");
}

/* Checks that no operation of the step is done twice, or after it was cancelled. */
static bool check_runs(struct timer_hotplug *skel)
{
	__u32 actions = skel->bss->actions;

	if (actions & DO_CANCEL && !check_cancelled(skel))
		return false;
	return ASSERT_EQ(runs_of(skel, STARTED), !!(actions & DO_START), "runs") &&
	       ASSERT_EQ(runs_of(skel, HELD), 0, "runs of the held one");
}

static bool go_and_come(struct scene *scene, const struct step *step, __u32 held)
{
	struct timer_hotplug *skel = scene->skel;
	bool is_back = step->up || step->late;
	__s64 left = left_of(scene->memory);

	skel->bss->armed = !step->up;
	if (!set_online(CPU, false))
		return false;
	if (!is_back && !(check_done(scene, left, held) && check_grace_periods(scene->memory)))
		return false;
	/* A dead CPU that is woken inside the program never leaves its RCU read-side section. */
	if (step->late)
		usleep(LEAVE_USECS);
	skel->bss->armed = true;
	if (!set_online(CPU, true))
		return false;
	/* A CPU can die without calling this function. */
	if (step->late && !skel->bss->hits)
		return check_start_later(skel);
	if (is_back && !check_done(scene, left, held))
		return false;
	return check_start_later(skel) && check_runs(skel);
}

static bool act_at(struct scene *scene, const struct step *step, __u32 actions)
{
	__u32 held = set_up(scene->skel, step, actions);
	bool ok = held && go_and_come(scene, step, held);

	scene->acted++;
	scene->skel->bss->armed = false;
	return ok;
}

/* Makes a program act at a step. Returns false if an operation was lost. */
static bool check_step(struct scene *scene, const struct step *step, __u32 actions)
{
	struct actor actor = { -1, -1 };
	const char *kind = step->probe ? "probe in " : "";
	int err = attach_at(scene, step, &actor);
	bool ok = true;

	if (err)
		printf("%s%s: skipped, no program can be attached: %d\n", kind, step->function,
		       err);
	else
		ok = act_at(scene, step, actions);
	if (!ok)
		printf("%s%s: failed\n", kind, step->function);
	detach(&actor);
	return ok;
}

static void test_step(const struct step *step, __u32 actions)
{
	struct scene scene;

	if (!enter_scene(&scene))
		return;
	check_step(&scene, step, actions);
	leave_scene(&scene);
}

static void test_start_on_dead_cpu_fires(void)
{
	static const struct step step = { "cpuhp_report_idle_dead", CPU };

	test_step(&step, DO_START);
}

static void test_delete_on_dying_cpu_ends_grace_periods(void)
{
	static const struct step step = { "hrtimers_cpu_dying", CPU };

	test_step(&step, DO_DELETE);
}

static const struct step down[] = {
	/* CPU 1, in a thread. */
	{ "sched_cpu_deactivate", CPU },
	{ "rcutree_offline_cpu", CPU },
	{ "workqueue_offline_cpu", CPU },
	{ "smpboot_park_threads", CPU },
	{ "sched_cpu_wait_empty", CPU },
	/* The CPU that takes it down. */
	{ "takedown_cpu", ANY_CPU },
	/* CPU 1, with interrupts off until it is dead. */
	{ "take_cpu_down", CPU },
#ifdef __x86_64__
	{ "cpu_disable_common", CPU },
	{ "lapic_offline", CPU },
#endif
	{ "tick_cpu_dying", CPU },
	{ "hrtimers_cpu_dying", CPU },
	{ "smpcfd_dying_cpu", CPU },
	{ "rcutree_dying_cpu", CPU },
	{ "sched_cpu_dying", CPU },
	{ "stop_machine_park", CPU },
	{ "cpuhp_report_idle_dead", CPU },
	{ "rcutree_report_cpu_dead", CPU },
	{ "cpuhp_ap_report_dead", CPU, .unwatched = true },
#ifdef __x86_64__
	/* CPU 1, after it has reported its death. */
	{ "hlt_play_dead", CPU, .late = true, .unwatched = true },
#endif
	/* The CPU that takes it down. */
	{ "cpuhp_complete_idle_dead", ANY_CPU },
	{ "rcutree_migrate_callbacks", ANY_CPU },
	{ "finish_cpu", ANY_CPU },
	{ "timers_dead_cpu", ANY_CPU },
	{ "rcutree_dead_cpu", ANY_CPU },
	{ "smpcfd_dead_cpu", ANY_CPU },
};

static const struct step up[] = {
	/* The CPU that takes it up. */
	{ "hrtimers_prepare_cpu", ANY_CPU, .up = true },
	{ "smpcfd_prepare_cpu", ANY_CPU, .up = true },
	{ "rcutree_prepare_cpu", ANY_CPU, .up = true },
	/* CPU 1, with interrupts off. */
	{ "rcutree_report_cpu_starting", CPU, .up = true, .unwatched = true },
	{ "notify_cpu_starting", CPU, .up = true },
	{ "hrtimers_cpu_starting", CPU, .up = true },
	{ "sched_cpu_starting", CPU, .up = true },
	/* CPU 1, when it idles for the first time, and in a thread. */
	{ "cpuhp_online_idle", CPU, .up = true },
	{ "rcutree_online_cpu", CPU, .up = true },
	{ "sched_cpu_activate", CPU, .up = true },
};

/* Each probe is a breakpoint, which the kernel removes only after a grace period. */
static const struct step probes[] = {
	{ "take_cpu_down", CPU, .probe = true },
	{ "hrtimers_cpu_dying", CPU, .probe = true },
	{ "smpcfd_dying_cpu", CPU, .probe = true },
	{ "sched_cpu_dying", CPU, .probe = true },
	{ "cpuhp_report_idle_dead", CPU, .probe = true },
	{ "cpuhp_ap_report_dead", CPU, .probe = true, .unwatched = true },
	{ "smpcfd_dead_cpu", ANY_CPU, .probe = true },
	{ "notify_cpu_starting", CPU, .up = true, .probe = true },
};

/* Checks one step after the other until an operation is lost. */
static void check_steps(const struct step *steps, int count)
{
	const char *only = getenv("BPF_TIMER_STEP");
	struct scene scene;
	int i;

	if (!enter_scene(&scene))
		return;
	for (i = 0; i < count; i++)
		if ((!only || !strcmp(only, steps[i].function)) &&
		    !check_step(&scene, &steps[i], ALL_ACTIONS))
			break;
	leave_scene(&scene);
}

static void test_every_step_of_going_down(void)
{
	check_steps(down, ARRAY_SIZE(down));
}

static void test_every_step_of_coming_up(void)
{
	check_steps(up, ARRAY_SIZE(up));
}

static void test_steps_in_probes(void)
{
	if (!PROBES_ARE_NMIS) {
		test__skip();
		return;
	}
	write_sysctl(OPTIMIZATION, "0");
	check_steps(probes, ARRAY_SIZE(probes));
	write_sysctl(OPTIMIZATION, "1");
}

static bool stop;

/* A thread that uses timers, on @cpu while that is online. */
struct user {
	pthread_t thread;
	struct timer_hotplug *skel;
	int cpu;
	int err;
};

/* Sleeps between runs, because the kernel cannot move a thread that is in a program. */
static void *use(void *arg)
{
	struct user *user = arg;

	while (!READ_ONCE(stop) && !user->err) {
		pin_to(user->cpu);
		user->err = run(user->skel->progs.use_in_thread);
		usleep(100);
	}
	return NULL;
}

static void *disturb(void *arg)
{
	while (!READ_ONCE(stop) && send_nmis())
		usleep(20000);
	return NULL;
}

static void go_and_come_often(void)
{
	int i;

	for (i = 0; i < ROUNDS; i++)
		if (!set_online(CPU, false) || !set_online(CPU, true))
			break;
}

/* Takes the CPU offline and back while two threads and NMIs use the timers. */
static void go_and_come_under_load(struct timer_hotplug *skel)
{
	struct user users[2] = {};
	pthread_t nmis;
	int i;

	WRITE_ONCE(stop, false);
	if (!ASSERT_OK(pthread_create(&nmis, NULL, disturb, NULL), "thread"))
		return;
	for (i = 0; i < ARRAY_SIZE(users); i++) {
		users[i].skel = skel;
		users[i].cpu = i ? CPU : 0;
		if (!ASSERT_OK(pthread_create(&users[i].thread, NULL, use, &users[i]), "thread"))
			break;
	}
	skel->bss->on = true;
	go_and_come_often();
	skel->bss->on = false;
	WRITE_ONCE(stop, true);
	while (i-- > 0) {
		pthread_join(users[i].thread, NULL);
		ASSERT_OK(users[i].err, "run");
	}
	pthread_join(nmis, NULL);
}

static struct timer_hotplug *load_for_rounds(void)
{
	struct timer_hotplug *skel = timer_hotplug__open();

	if (!ASSERT_OK_PTR(skel, "open"))
		return NULL;
	bpf_program__set_autoload(skel->progs.use_in_nmi, true);
	bpf_program__set_autoload(skel->progs.use_with_hrtimers_dying, true);
	bpf_program__set_autoload(skel->progs.use_when_dead, true);
	if (ASSERT_OK(timer_hotplug__load(skel), "load") &&
	    ASSERT_OK(timer_hotplug__attach(skel), "attach"))
		return skel;
	timer_hotplug__destroy(skel);
	return NULL;
}

static void check_rounds(struct timer_hotplug *skel)
{
	/* Keep NMI backtraces off the console: they are warnings at most. */
	int level = set_console_loglevel(4);

	go_and_come_under_load(skel);
	set_console_loglevel(level);
	printf("operations: %llu in threads, %llu in NMIs, %llu on a dying CPU\n",
	       skel->bss->in_threads, skel->bss->in_nmis, skel->bss->in_dying);
	ASSERT_GT(skel->bss->in_threads, 0, "in threads");
	ASSERT_GT(skel->bss->in_dying, 0, "in dying");
	ASSERT_GT(skel->bss->crowd_runs, 0, "runs");
	ASSERT_EQ(skel->bss->no_memory, 0, "no memory");
	if (init(skel, LATER))
		check_start_later(skel);
}

static void test_rounds_under_load(void)
{
	struct timer_memory *memory = watch_memory();
	struct timer_hotplug *skel;
	__u32 id;

	if (!memory)
		return;
	skel = load_for_rounds();
	if (skel) {
		id = id_of(skel->progs.use_in_thread);
		check_rounds(skel);
		timer_hotplug__destroy(skel);
		ASSERT_TRUE(id && is_unloaded(id), "unloaded");
		check_memory(memory, 1);
	}
	timer_memory__destroy(memory);
}

static const struct subtest tests[] = {
	{ "start_on_dead_cpu_fires", test_start_on_dead_cpu_fires },
	{ "delete_on_dying_cpu_ends_grace_periods", test_delete_on_dying_cpu_ends_grace_periods },
	{ "every_step_of_going_down", test_every_step_of_going_down },
	{ "every_step_of_coming_up", test_every_step_of_coming_up },
	{ "steps_in_probes", test_steps_in_probes },
	{ "rounds_under_load", test_rounds_under_load },
};

/* Serial: a CPU goes offline. */
void serial_test_timer_hotplug(void)
{
	bool lost = false;
	int i;

	if (skip_hazard() || skip_one_cpu() || skip_no_hotplug(CPU))
		return;
	for (i = 0; i < ARRAY_SIZE(tests); i++) {
		if (!test__start_subtest(tests[i].name))
			continue;
		/* If an irq_work of a CPU is lost, all later ones are lost as well. */
		if (lost) {
			test__skip();
			continue;
		}
		tests[i].run();
		set_online(CPU, true);
		lost = env.subtest_state->error_cnt;
	}
}
