# Two commands for a machine with python3, pip, git and make: `make demo` and `make test`.

# uv from PATH, or one of our own beside the repository's files.
UV := $(shell command -v uv || echo $(CURDIR)/.uv/bin/uv)
# A Python started by a pyenv shim, or an active environment, would override .python-version.
unexport PYENV_VERSION VIRTUAL_ENV

.PHONY: demo test benchmark constraints

# Renders a service with every answer at its default, and serves it on http://127.0.0.1:8000.
demo: $(UV)
	$(UV) tool run --from "cookiecutter>=2.7" cookiecutter . --no-input --default-config --output-dir demo --overwrite-if-exists
	$(MAKE) -C demo/async-django-service run RUN="$(UV) run"

# Renders, inspects, tests and boots every combination.
test: .venv
	.venv/bin/pytest --numprocesses $(or $(WORKERS),auto) $(ARGS)

# One environment with everything that our tools and all the services need.
.venv: constraints.txt $(UV)
	$(UV) venv --clear .venv
	$(UV) pip install --python .venv --compile-bytecode --requirements constraints.txt
	touch .venv

# Pins that environment anew: what our tools need, and what the three services with every toggle on do.
constraints: $(UV)
	rm -rf .constraints
	for server in uvicorn granian daphne; do \
		$(UV) tool run --from "cookiecutter>=2.7" cookiecutter . --no-input --default-config --output-dir .constraints \
			project_slug=all-on-$$server asgi_server=$$server use_postgres=yes >/dev/null || exit 1; \
	done
	$(UV) pip compile --quiet --universal --upgrade --no-header --no-annotate --no-emit-index-url --no-emit-find-links \
		--python-version 3.12 --output-file constraints.txt pyproject.toml --group dev \
		$(foreach server,uvicorn granian daphne,.constraints/all-on-$(server)/pyproject.toml --group .constraints/all-on-$(server)/pyproject.toml:dev)
	rm -rf .constraints

# Measures a rendered service beside its peers, in one run; needs wrk. ARGS are those of benchmarks/compare.py.
benchmark: .benchmarks/venv
	.benchmarks/venv/bin/python benchmarks/compare.py $(ARGS)

# The same environment and what the peers need, apart from it: no test must ever depend on that.
.benchmarks/venv: constraints.txt pyproject.toml $(UV)
	$(UV) venv --clear .benchmarks/venv
	$(UV) pip install --python .benchmarks/venv --compile-bytecode --requirements constraints.txt --group benchmarks
	touch .benchmarks/venv

$(CURDIR)/.uv/bin/uv:
	python3 -m pip install --quiet --disable-pip-version-check --target .uv "uv>=0.13"
