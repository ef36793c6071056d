# Two commands for a machine with python3, pip, git and make: `make demo` and `make test`. `make help` lists all of them.

# uv from PATH, or one of our own beside the repository's files.
UV := $(shell command -v uv || echo $(CURDIR)/.uv/bin/uv)
# A Python started by a pyenv shim, or an active environment, would override .python-version.
unexport PYENV_VERSION VIRTUAL_ENV

.PHONY: help demo test thorough django-tests faults browser load benchmark constraints newest

help: ## lists these commands
	@sed -nE 's/^([a-z-]+):[^#]*## (.*)/make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s  %s\n", $$1, $$2 }'

demo: $(UV) ## renders a service with every answer at its default, and serves it on http://127.0.0.1:8000
	$(UV) tool run --from "cookiecutter>=2.7" cookiecutter . --no-input --default-config --output-dir demo \
		--overwrite-if-exists project_slug=service
	$(MAKE) -C demo/service run UV="$(UV)"

test: .venv ## renders, inspects, tests and boots every combination
	.venv/bin/pytest --numprocesses $(or $(WORKERS),auto) $(ARGS)

# Looks five times as hard for what goes wrong rarely: orders of events, odd answers, what many requests leave behind. And
# checks the types and runs all tests of every service. `make test` leaves out what the server or the bytes cannot change.
thorough: .venv ## looks five times as hard for rare failures
	.venv/bin/pytest --effort 5 --numprocesses $(or $(WORKERS),auto) --timeout 3600 \
		$(or $(ARGS),tests/render/test_fuzzed_answers.py tests/runtime tests/services)

# Downloads Django's source, because the wheel has no tests. ARGS are labels of its tests, such as ARGS="async queries".
django-tests: .venv ## runs Django's own tests of the ORM on the event loop; downloads them
	PYTHONPATH=tests/runtime .venv/bin/python -m django_suite.main $(ARGS)

# Takes the services' dependencies away, restarts them under load and lets hostile clients in. Needs PgBouncer,
# HAProxy and nginx: `apt install pgbouncer haproxy nginx`.
faults: .venv .load/venv ## takes the services' dependencies away and lets hostile clients in; needs pgbouncer, haproxy, nginx
	.venv/bin/pytest --numprocesses $(or $(WORKERS),auto) --timeout 900 $(or $(ARGS),tests/faults)

# Drives a real browser through the services' pages. Needs Chromium and, to end TLS, HAProxy: `apt install chromium haproxy`.
browser: .venv ## drives a real browser through the services' pages; needs chromium, haproxy
	.venv/bin/pytest --numprocesses $(or $(WORKERS),auto) $(or $(ARGS),tests/browser)

# One environment with everything that our tools and all the services need.
.venv: constraints.txt $(UV)
	$(UV) venv --clear .venv
	$(UV) pip install --python .venv --compile-bytecode --requirements constraints.txt
	touch .venv

# What all of them need: our tools, and the three services with every toggle on.
ALL_ON := $(foreach server,uvicorn granian daphne,.constraints/all-on-$(server)/pyproject.toml)
NEEDS := pyproject.toml --group dev $(foreach project,$(ALL_ON),$(project) --group $(project):dev --group $(project):lint)
COMPILE := $(UV) pip compile --quiet --universal --upgrade --python-version 3.12 \
	--no-header --no-annotate --no-emit-index-url --no-emit-find-links
define render_all_on
	rm -rf .constraints
	for server in uvicorn granian daphne; do \
		$(UV) tool run --from "cookiecutter>=2.7" cookiecutter . --no-input --default-config --output-dir .constraints \
			project_slug=all-on-$$server asgi_server=$$server use_postgres=yes >/dev/null || exit 1; \
	done
endef

constraints: $(UV) ## pins the environment anew, within the bounds that the services set
	$(render_all_on)
	$(COMPILE) --output-file constraints.txt $(NEEDS)
	rm -rf .constraints

# Does what `make test` does with the newest version of everything, as if no service set a bound: says which versions
# are new, and what they would break. The services' own environments, which keep the bounds, are left out.
newest: $(UV) ## tests with the newest version of every dependency
	$(render_all_on)
	sed -E -i.bounded '/^ +"[a-z]/ { s/,<[0-9.]+//; s/==/>=/; }' $(ALL_ON)
	mkdir -p .newest
	$(COMPILE) --output-file .newest/constraints.txt $(NEEDS)
	rm -rf .constraints
	@echo "New versions:"; diff constraints.txt .newest/constraints.txt || true
	$(UV) venv --clear .newest/venv
	$(UV) pip install --python .newest/venv --compile-bytecode --requirements .newest/constraints.txt
	.newest/venv/bin/pytest --numprocesses $(or $(WORKERS),auto) --ignore tests/services/test_isolation.py $(ARGS)

# Measures a rendered service beside its peers, in one run; needs wrk. ARGS are those of `python -m benchmarks.compare`, such as
# ARGS="--only broadcast --rounds 5" for WebSockets and what each part contributes to their broadcast.
benchmark: .benchmarks/venv ## measures a service and its peers in one run; needs wrk
	.benchmarks/venv/bin/python -m benchmarks.compare $(ARGS)

# The same environment and what the peers need, apart from it: no test must ever depend on that.
.benchmarks/venv: constraints.txt pyproject.toml $(UV)
	$(UV) venv --clear .benchmarks/venv
	$(UV) pip install --python .benchmarks/venv --compile-bytecode --requirements constraints.txt --group benchmarks
	touch .benchmarks/venv

# Loads a rendered service while what it depends on fails, one fault after the other. ARGS are those of `python -m load.main`.
load: .load/venv ## loads a service while its dependencies fail, one after the other
	.load/venv/bin/python -m load.main $(ARGS)

# The same environment and the load's tool, which patches the standard library: apart from it, too.
.load/venv: constraints.txt pyproject.toml $(UV)
	$(UV) venv --clear .load/venv
	$(UV) pip install --python .load/venv --compile-bytecode --requirements constraints.txt --group load
	touch .load/venv

$(CURDIR)/.uv/bin/uv:
	python3 -m pip install --quiet --disable-pip-version-check --target .uv "uv>=0.13"
