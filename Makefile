# The two commands of the README are `make demo` and `make test`; each installs what it is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
# The system's first: distributions build it with profiles, and one built from source takes half as much CPU again.
# Of all that are new enough, one that can make environments is taken before one that cannot.
find_python = $(foreach v,/usr/bin/python3 python3 python3.13 python3.12 python3.11,$(shell $(v) -c 'import sys$(1); print("$(v)") if sys.version_info >= (3, 11) else None' 2>/dev/null))
PYTHON ?= $(eval PYTHON := $(firstword $(or $(call find_python,; import ensurepip; import venv),$(find_python))))$(PYTHON)
AS_ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
TEST_WORKERS ?= 7
FEW := 5
LAST_FAILED := .pytest_cache/v/cache/lastfailed
# Where it is set, each of a thousand processes compiles everything anew.
unexport PYTHONDONTWRITEBYTECODE
# Each package is asked for by a file that it brings, so that nothing is installed twice.
DEMO_NEEDS := haproxy:/usr/sbin/haproxy
TEST_NEEDS := $(DEMO_NEEDS) monit:/usr/bin/monit openssh-server:/usr/sbin/sshd openssh-client:/usr/bin/ssh-agent \
	podman:/usr/bin/podman docker.io:/usr/sbin/dockerd docker-compose:/usr/bin/docker-compose runc:/usr/sbin/runc \
	busybox-static:/bin/busybox curl:/usr/bin/curl sudo:/usr/bin/sudo \
	dnf:/usr/bin/dnf rpm:/usr/bin/rpmbuild createrepo-c:/usr/bin/createrepo_c ansible-core:/usr/bin/ansible-playbook \
	systemd:/lib/systemd/systemd supervisor:/usr/bin/supervisord

.PHONY: help demo test test-matrix lint bench fuzz faults pictures clean
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/installed ## Upgrade real local nodes behind real HAProxies, under load; TO=1.6.0-errors, -crash ...: a faulty version
	@$(call install_missing,$(DEMO_NEEDS))
	@$(BIN)/rolldeck demo $(if $(TO),--headless --to $(TO))

# A test that fails beside others is a fault to be mended, and is named as unsteady. When there are only a few, they
# run once more with the machine to themselves, and the result is that of this second run: it tells no more than
# whether the busy machine was the reason. More failures than that, and whatever else ends the first run, count at once.
test: .venv/installed ## Run all tests, or TESTS="files ..."
	@$(call install_missing,$(TEST_NEEDS))
	@tests/get-servers
	@# More workers than cores: most tests wait for real servers. A file stays with one worker, with its servers.
	@rm -f $(LAST_FAILED)
	@$(BIN)/pytest -q -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder --durations=25 $(TESTS) || { \
		code=$$?; \
		failed=$$($(BIN)/python -c 'import json; print(*json.load(open("$(LAST_FAILED)")), sep="\n")' 2>/dev/null); \
		count=$$(wc -l <<<"$$failed"); \
		[ $$code = 1 ] && [ -n "$$failed" ] && [ $$count -le $(FEW) ] || exit $$code; \
		printf '\nWhat failed (%s) runs once more, alone.\n' $$count; \
		$(BIN)/pytest -q -n 0 --last-failed --last-failed-no-failures none $(TESTS) || exit; \
		printf 'UNSTEADY: failed beside others and passed alone, which is a fault to be mended:\n%s\n' "$$failed"; \
	}

test-matrix: .venv/installed ## Run what depends on HAProxy against every version that is there
	@$(call install_missing,$(TEST_NEEDS))
	$(BIN)/pytest -q -m matrix

lint: .venv/installed ## Style, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed ## Measure what the tool adds, and what the console costs
	@$(call install_missing,$(TEST_NEEDS))
	$(BIN)/python -m tests.bench

fuzz: .venv/installed ## Look for SECONDS (600) for foreign text that is read with a traceback, or slowly
	$(BIN)/python -m tests.fuzz --seconds $(or $(SECONDS),600)

faults: .venv/installed ## Drive every fault in every step, and kill a hundred upgrades (an hour); writes docs/faults.md
	@$(call install_missing,$(TEST_NEEDS))
	$(BIN)/pytest -q -m long -n $(TEST_WORKERS)
	$(BIN)/python -m tests.faults --page docs/faults.md

pictures: .venv/installed ## Take the README's pictures anew, of a real upgrade
	@$(call install_missing,$(DEMO_NEEDS))
	$(BIN)/python -m tests.pictures

clean: ## Remove what was made here
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist

# The lock has hashes and no addresses; the build backend is in it, so that nothing unlocked is fetched.
.venv/installed: requirements.lock pyproject.toml
	@[ -n "$(PYTHON)" ] || { $(call apt,python3 python3-venv); }
	@$(or $(PYTHON),python3) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Rolldeck needs Python 3.11 or newer (Debian 12, Ubuntu 24.04)" >&2; exit 1; }
	@$(or $(PYTHON),python3) -c 'import ensurepip, venv' 2>/dev/null || { $(call apt,python3-venv); }
	$(or $(PYTHON),python3) -m venv --clear .venv
	$(BIN)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

apt = { [ -z "$(AS_ROOT)" ] || command -v sudo >/dev/null || { echo "there is no sudo; as root: apt-get install $(strip $(1))" >&2; false; }; } \
	&& $(AS_ROOT) apt-get -q update && $(AS_ROOT) env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends $(1)
define install_missing
missing=; for need in $(1); do [ -e $${need#*:} ] || missing="$$missing $${need%%:*}"; done; \
[ -z "$$missing" ] || { echo "installing:$$missing"; $(call apt,$$missing); }
endef
