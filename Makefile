# BPF timers in Rust: the front door. "make help" and "make help-all" tell the rest.

FLAVOR ?= rust
ARCH ?= x86_64
# Instructions are counted on one CPU.
CPUS ?= $(if $(ICOUNT),1,2)
MEM ?= 2G
TIMEOUT ?= 600
TIMES ?= 1
STRESS ?= 2
FLAVORS := rust c debug kcsan rt rt-debug
ARCHES := x86_64 arm64 riscv $(if $(filter kunit,$(MAKECMDGOALS)),s390 powerpc)
ifeq ($(filter $(FLAVOR),$(FLAVORS)),)
$(error unknown FLAVOR '$(FLAVOR)': use one of $(FLAVORS))
endif

ifeq ($(filter $(ARCH),$(ARCHES)),)
$(error unknown ARCH '$(ARCH)': use one of $(ARCHES))
endif
ifneq ($(filter-out newest,$(TOOLCHAIN)),)
$(error unknown TOOLCHAIN '$(TOOLCHAIN)': leave it empty, or use newest)
endif
# The ending of the names of what is built for another machine, or by another toolchain.
SUFFIX := $(if $(filter-out x86_64,$(ARCH)),-$(ARCH))$(TOOLCHAIN:%=-%)

ONE_TOOLCHAIN := $(filter check-off check-series mutate test-languages,$(MAKECMDGOALS))
ifneq ($(and $(TOOLCHAIN),$(ONE_TOOLCHAIN)),)
$(error make $(ONE_TOOLCHAIN) knows no other TOOLCHAIN)
endif
X86_64_ONLY := $(strip $(filter check,$(MAKECMDGOALS)) $(ONE_TOOLCHAIN))
ifneq ($(and $(filter-out x86_64,$(ARCH)),$(X86_64_ONLY)),)
$(error make $(X86_64_ONLY) is for x86_64 alone)
endif

SAMPLE := samples/bpf_timer/dns_ttl
VM = scripts/enter scripts/vm --kernel build/$(FLAVOR)$(SUFFIX) --cpus '$(CPUS)' --mem '$(MEM)' \
	--timeout '$(TIMEOUT)' $(if $(APPEND),--append '$(APPEND)') $(if $(ICOUNT),--icount)
export ARCH TOOLCHAIN FROM CMD LINUX MIRROR NATIVE FORCE

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help help-all run test test-upstream test-field test-sched-ext test-languages test-all kunit mutate litmus docs kernel vm shell series check check-series check-off check-configs bench menuconfig clean distclean sample fuzz demo

help:
	@sed '/^== /,$$d' scripts/data/help.txt

help-all:
	@sed 's/^== .*//' scripts/data/help.txt

run: kernel sample
	@$(VM) -- 'build/dns_ttl$(SUFFIX)/release/dns_ttl --records $(or $(RECORDS),$(SAMPLE)/records.csv)'
	@echo 'run: timers expired in the kernel that was built; make demo shows more of them, make test tests them'

demo: kernel sample
	@scripts/demo $(TIME)

test: kernel sample
	@scripts/fuzz
	@scripts/enter scripts/test --flavor $(FLAVOR) --cpus '$(CPUS)' --times '$(TIMES)' --stress '$(STRESS)'

test-upstream:
	@scripts/kernel rust
	@scripts/kernel c
	@scripts/enter scripts/test --compare upstream

test-field: TIME ?= $(STRESS)
test-field:
	@scripts/kernel rust
	@scripts/kernel c
	@scripts/enter scripts/test --compare --stress '$(TIME)' field

test-sched-ext: TIME ?= 60
test-sched-ext:
	@scripts/kernel rust
	@scripts/kernel c
	@scripts/enter scripts/test --compare --stress '$(TIME)' sched_ext

test-languages: sample
	@scripts/kernel rust
	@scripts/languages

test-all: sample
	@scripts/fuzz
	@scripts/kernel rust
	@scripts/kernel debug
	@scripts/enter scripts/test --flavor rust --flavor debug --cpus 1 --cpus 2 --cpus 4 --times '$(TIMES)' --stress '$(STRESS)'

kunit:
	@scripts/kunit

mutate:
	@scripts/mutate $(MUTANT)

litmus:
	@scripts/litmus
	@scripts/model

docs:
	@scripts/docs

kernel:
	@scripts/kernel $(FLAVOR)

sample:
	@scripts/sample

# TIMEOUT leaves time to shorten a sequence that differs.
fuzz: TIME ?= 60
fuzz: TIMEOUT = $(shell expr '$(TIME)' + 300)
fuzz: OPTIONS = --time $(TIME) $(SEED:%=--seed %) $(if $(filter c,$(FLAVOR)),--implementation c) $(FUZZ)
fuzz: kernel
	@scripts/fuzz
	@$(VM) -- 'build/fuzz$(SUFFIX)/release/fuzz $(OPTIONS)'

vm: kernel
	@[ "$$CMD" ] || { echo "make vm: say what to run: make vm CMD='...'" >&2; exit 2; }
	@$(VM) -- "$$CMD"

shell:
	@if [ "$$CMD" ]; then scripts/enter bash -c "$$CMD"; else scripts/enter; fi

series:
	@tree=$$(scripts/source) && scripts/enter scripts/series write "$$tree" build/series

check:
	@scripts/check

check-series:
	@scripts/check-series

check-off:
	@scripts/check-off

check-configs:
	@scripts/check-configs $(CONFIGS)

bench:
	@scripts/bench-report --build
	@scripts/kernel rust
	@scripts/kernel c
	@scripts/enter scripts/bench $(if $(QUICK),--quick)
	@scripts/bench-report $(if $(BASE),--base '$(BASE)')

menuconfig:
	@scripts/kernel $(FLAVOR) menuconfig

clean:
	rm -rf build

distclean: clean
	@scripts/distclean

.DEFAULT:
	@echo "make: there is no target '$@', see make help" >&2; exit 2
