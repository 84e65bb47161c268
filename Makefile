# The README's two commands are `make demo` and `make test`; both install missing packages.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
# The system's Python comes first: distributions build it with profile-guided optimization, without which it needs half
# as much CPU time again. Of those that are new enough, one that can create virtual environments is preferred.
find_python = $(foreach v,/usr/bin/python3 python3 python3.13 python3.12 python3.11,$(shell $(v) -c 'import sys$(1); print("$(v)") if sys.version_info >= (3, 11) else None' 2>/dev/null))
PYTHON ?= $(eval PYTHON := $(firstword $(or $(call find_python,; import ensurepip; import venv),$(find_python))))$(PYTHON)
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
TEST_WORKERS ?= 7
FEW := 5
LAST_FAILED := .pytest_cache/v/cache/lastfailed
# If it is set, each of a thousand processes compiles all modules again.
unexport PYTHONDONTWRITEBYTECODE
# Each package is listed with a file that it contains: the package is installed if that file is missing.
DEMO_NEEDS := haproxy:/usr/sbin/haproxy
TEST_NEEDS := $(DEMO_NEEDS) monit:/usr/bin/monit openssh-server:/usr/sbin/sshd openssh-client:/usr/bin/ssh-agent \
	podman:/usr/bin/podman docker.io:/usr/sbin/dockerd docker-compose:/usr/bin/docker-compose runc:/usr/sbin/runc \
	busybox-static:/bin/busybox curl:/usr/bin/curl sudo:/usr/bin/sudo \
	dnf:/usr/bin/dnf rpm:/usr/bin/rpmbuild createrepo-c:/usr/bin/createrepo_c ansible-core:/usr/bin/ansible-playbook \
	systemd:/lib/systemd/systemd supervisor:/usr/bin/supervisord

.PHONY: help demo test test-matrix lint bench bench-canary fuzz faults pictures animation clean
help: ## List all targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed ## Upgrade real local nodes behind real HAProxies, under load; TO=VERSION upgrades to that version without the console
	@$(call install_missing,$(DEMO_NEEDS))
	@$(BIN)/rolldeck demo $(if $(TO),--headless --to $(TO))

# If only a few tests fail (up to FEW), they run once more, one after the other, and the result of the second run counts. A
# test that passes only then depends on how busy the machine is; it is reported as unsteady and has to be fixed. If more
# tests fail, or the first run ends in another way, there is no second run.
test: .venv/installed ## Run all tests, or only those in TESTS="FILE ..."
	@$(call install_missing,$(TEST_NEEDS))
	@tests/get-servers
	@# There are more workers than cores, as most tests wait for real servers. The tests of a file share a worker and its servers.
	@rm -f $(LAST_FAILED)
	@$(BIN)/pytest -q -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder --durations=25 $(TESTS) || { \
		code=$$?; \
		failed=$$($(BIN)/python -c 'import json; print(*json.load(open("$(LAST_FAILED)")), sep="\n")' 2>/dev/null); \
		count=$$(wc -l <<<"$$failed"); \
		[ $$code = 1 ] && [ -n "$$failed" ] && [ $$count -le $(FEW) ] || exit $$code; \
		printf '\nThe tests that failed (%s) run once more, one after the other.\n' $$count; \
		$(BIN)/pytest -q -n 0 --last-failed --last-failed-no-failures none $(TESTS) || exit; \
		printf 'UNSTEADY: these tests failed in parallel and passed alone, and have to be fixed:\n%s\n' "$$failed"; \
	}

test-matrix: .venv/installed ## Run the tests that depend on HAProxy against every installed version
	@$(call install_missing,$(TEST_NEEDS))
	$(BIN)/pytest -q -m matrix

lint: .venv/installed ## Check style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed ## Measure the time that Rolldeck adds to an upgrade, and the cost of the console
	@$(call install_missing,$(TEST_NEEDS))
	$(BIN)/python -m tests.bench

bench-canary: .venv/installed ## Simulate rollouts of good and bad versions (RUNS=1000 of each); writes tables into docs/canary.md
	$(BIN)/python -m tests.bench canary --runs $(or $(RUNS),1000) --page docs/canary.md

fuzz: .venv/installed ## Feed generated text to every parser for SECONDS (600), looking for tracebacks and slow parsing
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600)

faults: .venv/installed ## Inject every fault in every step, and kill a hundred upgrades (an hour); writes docs/faults.md
	@$(call install_missing,$(TEST_NEEDS))
	$(BIN)/pytest -q -m long -n $(TEST_WORKERS)
	$(BIN)/python -m tests.faults --page docs/faults.md

pictures: .venv/installed ## Take the README's pictures again, from a real upgrade
	@$(call install_missing,$(DEMO_NEEDS))
	$(BIN)/python -m tests.pictures
	$(BIN)/python -m tests.fleet_pictures

animation: .venv/installed ## Record a real rollout again, as the README's animated picture
	@$(call install_missing,$(DEMO_NEEDS))
	$(BIN)/python -m tests.animation

clean: ## Remove the virtual environment, caches and built packages
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist

# The lock file has hashes and no addresses, and includes the build backend, so that only locked packages are downloaded.
.venv/installed: requirements.lock pyproject.toml
	@[ -n "$(PYTHON)" ] || { $(call apt,python3 python3-venv); }
	@$(or $(PYTHON),python3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Rolldeck needs Python 3.11 or newer (Debian 12, Ubuntu 24.04)" >&2; exit 1; }
	@$(or $(PYTHON),python3) -c 'import ensurepip, venv' 2>/dev/null || { $(call apt,python3-venv); }
	$(or $(PYTHON),python3) -m venv --clear .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

apt = { [ -z "$(AS_ROOT)" ] || command -v sudo >/dev/null || { echo "sudo is not installed; run as root: apt-get install $(strip $(1))" >&2; false; }; } \
	&& $(AS_ROOT) apt-get -q update && $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $(1)
define install_missing
missing=; for need in $(1); do [ -e $${need#*:} ] || missing="$$missing $${need%%:*}"; done; \
[ -z "$$missing" ] || { echo "installing:$$missing"; $(call apt,$$missing); }
endef
