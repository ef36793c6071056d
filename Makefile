# Two commands for a machine with python3, pip, git and make: `make demo` and `make test`. `make help` lists all of them.

# uv from PATH, or else installed into .uv/.
UV := $(shell command -v uv || echo $(CURDIR)/.uv/bin/uv)
# An active virtual environment, or PYENV_VERSION of a pyenv shim, would override .python-version.
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

# Runs the randomised tests with five times as many examples: orders of events, odd answers, resources that many requests
# could leave behind. Also checks the types and runs all tests of every service, where `make test` checks equal files once.
thorough: .venv ## runs the randomised tests with five times as many examples
	.venv/bin/pytest --effort 5 --numprocesses $(or $(WORKERS),auto) --timeout 3600 \
		$(or $(ARGS),tests/render/test_fuzzed_answers.py tests/runtime tests/services)

# Downloads Django's source, because the wheel has no tests. ARGS are labels of tests, such as ARGS="async queries".
django-tests: .venv ## downloads Django's own tests of the ORM and runs them on the event loop
	PYTHONPATH=tests/runtime .venv/bin/python -m django_suite.main $(ARGS)

# Stops the services' dependencies, restarts services under load and sends hostile requests. Needs PgBouncer, HAProxy and
# nginx: `apt install pgbouncer haproxy nginx`.
faults: .venv .load/venv ## tests services with failing dependencies and hostile clients; needs pgbouncer, haproxy, nginx
	.venv/bin/pytest --numprocesses $(or $(WORKERS),auto) --timeout 900 $(or $(ARGS),tests/faults)

# Drives a real browser through the services' pages. Needs Chromium and, to end TLS, HAProxy: `apt install chromium haproxy`.
browser: .venv ## drives a real browser through the services' pages; needs chromium, haproxy
	.venv/bin/pytest --numprocesses $(or $(WORKERS),auto) $(or $(ARGS),tests/browser)

# One environment with the dependencies of the tests and of all services.
.venv: constraints.txt $(UV)
	$(UV) venv --clear .venv
	$(UV) pip install --python .venv --compile-bytecode --requirements constraints.txt
	touch .venv

# The requirements: the development group of this repository, and a service on each server with every toggle on.
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

constraints: $(UV) ## updates constraints.txt to the newest versions within the services' bounds
	$(render_all_on)
	$(COMPILE) --output-file constraints.txt $(NEEDS)
	rm -rf .constraints

# Runs `make test` with the newest version of every dependency, as if no service had upper bounds, and prints the new
# versions. Leaves out the test of the services' own environments, which keep the bounds.
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

# Compares a rendered service with its peers in one run. Needs wrk. ARGS are options of `python -m benchmarks.compare`:
# ARGS="--only broadcast --rounds 5" measures WebSockets, and what each part contributes to their broadcast.
benchmark: .benchmarks/venv ## compares a service with its peers in one run; needs wrk
	.benchmarks/venv/bin/python -m benchmarks.compare $(ARGS)

# The same packages and those of the peers. It is separate, so that no test depends on the packages of peers.
.benchmarks/venv: constraints.txt pyproject.toml $(UV)
	$(UV) venv --clear .benchmarks/venv
	$(UV) pip install --python .benchmarks/venv --compile-bytecode --requirements constraints.txt --group benchmarks
	touch .benchmarks/venv

# Loads a rendered service while its dependencies fail, one after the other. ARGS are options of `python -m load.main`.
load: .load/venv ## loads a service while its dependencies fail, one after the other
	.load/venv/bin/python -m load.main $(ARGS)

# The same packages and Locust. It is separate, because Locust patches the standard library.
.load/venv: constraints.txt pyproject.toml $(UV)
	$(UV) venv --clear .load/venv
	$(UV) pip install --python .load/venv --compile-bytecode --requirements constraints.txt --group load
	touch .load/venv

$(CURDIR)/.uv/bin/uv:
	python3 -m pip install --quiet --disable-pip-version-check --target .uv "uv>=0.13"
