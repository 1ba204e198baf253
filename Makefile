# user-analytics: every command a person needs. `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
# Where it is set, as in images of Python, each command would compile all its packages anew, which takes seconds.
unexport PYTHONDONTWRITEBYTECODE

##@ Settings (make TARGET NAME=value)

REVIEWS ?=          ## run: reviews CSV (cid,review_str); default: the sample. bench-sentiment: texts to time (review_str)
PURCHASES ?=        ## run: purchases CSV (the columns of retail.user_purchase); default: the sample
DATE ?=             ## run, dag-run and the stages on the cluster: logical date, YYYY-MM-DD; default, but of dag-run: the latest invoice day
FROM ?=             ## backfill: first date. restore: folder that a backup made
TO ?=               ## backfill: last date. backup: folder, new or empty
MODE ?= full        ## run, ingest, dag-run, backfill: full or incremental
ARGS ?=             ## run: further options of user-analytics run. Tests: arguments for pytest. Stages on the cluster: --set NAME=VALUE
APP ?=              ## apply: movie-review or user-purchase. cluster-logs: what to show
INSTALL ?= $(filter true,$(CI)) ## test: 1 installs Debian packages that are missing, after saying which (CI=true does too)
COVERAGE ?=         ## test: 1 also prints the coverage, which takes a third longer
TAIL ?= 100         ## cluster-logs: lines of each log
VIEW ?= user_behaviour_metrics_view ## query: the view to print
FORMAT ?= table     ## query: table, csv or json
ROWS ?= 1000000     ## bench-extraction: rows of the table
LABELLED ?=         ## bench-sentiment: reviews to train on and to check (review_str, label 0 or 1, source), CSV or Parquet

VENV := .venv
BIN := $(VENV)/bin
AIRFLOW := .venv-airflow
# one more process than cores: a good part of the tests' time is waiting for what they start and kill
PYTEST := $(BIN)/pytest --numprocesses $(shell echo $$(($$(nproc) + 1))) --dist loadfile --no-loadscope-reorder
CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/user-analytics
include requirements/versions.env
MINIO := $(CACHE)/bin/minio-$(MINIO_VERSION)
# what the tests start of Debian, where it is missing
TEST_PACKAGES := $(if $(wildcard /usr/lib/postgresql/15/bin/postgres),,postgresql-15) $(if $(wildcard /usr/bin/chromium),,chromium)

##@ One machine

.PHONY: run
run: setup ## Run the whole pipeline here: ingest, Spark, BigQuery, views, report
	@$(BIN)/user-analytics run $(if $(strip $(REVIEWS)),--reviews '$(strip $(REVIEWS))') \
	  $(if $(strip $(PURCHASES)),--purchases '$(strip $(PURCHASES))') \
	  $(if $(strip $(DATE)),--date '$(strip $(DATE))') --mode '$(strip $(MODE))' $(ARGS)

.PHONY: setup
setup: $(VENV)/.embedded jars ## Install what `make run` needs into .venv and the jars into the cache (done by it when needed)

.PHONY: clean
clean: ## Stop what runs here and remove all data and environments of this checkout (not the caches)
	@if $(BIN)/python -c 'import user_analytics.embedded.remove' 2>/dev/null; then \
	  $(BIN)/python -m user_analytics.embedded.remove; \
	  RUN_DIR=.run $(BIN)/python -m user_analytics.embedded.remove; \
	elif compgen -G '.run/processes/*.json' >/dev/null; then \
	  echo "Something may still run here, and $(VENV) lacks what stops it: run \`make setup\`, then clean again." >&2; exit 1; \
	fi
	@rm -rf .run $(VENV) $(AIRFLOW) build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info \
	  user_analytics/sentiment/_kernel.so
	@rm -rf __pycache__; for folder in $(wildcard benchmarks charts dags data spark_apps tests user_analytics); do \
	  find $$folder -name __pycache__ -prune -exec rm -rf {} +; \
	done

##@ Development

.PHONY: check
check: lint test test-run ## Lint and test: what has to pass before a change lands

.PHONY: test
test: packages dev ## Run unit, integration and chart tests, and without ARGS the DAGs' too; what is skipped says what it lacks
	@$(if $(strip $(ARGS)),,$(MAKE) --no-print-directory test-dags)
	@$(PYTEST) -m 'not long' $(if $(strip $(COVERAGE)),--cov --cov-report=term) $(ARGS)

.PHONY: packages
packages:
	@$(if $(strip $(INSTALL)),requirements/install-debian-packages.sh $$(requirements/check-prerequisites.sh --run --packages) $(TEST_PACKAGES))

.PHONY: test-dags
test-dags: $(AIRFLOW)/.airflow ## Test the DAGs in Airflow's own environment, which this makes
	@$(AIRFLOW)/bin/pytest --confcutdir=tests/dags tests/dags $(ARGS)

.PHONY: test-run
test-run: dev ## Test `make run` and its Spark applications whole: killed, repeated, with a full disk, on real files (REAL_DATA=folder)
	@$(PYTEST) -m 'not long' tests/e2e/one_machine tests/real_data $(ARGS)

.PHONY: e2e
e2e: dev ## Test the pipeline on the kind cluster, which is made if there is none (REAL_DATA=folder: on real files)
	@$(BIN)/pytest tests/e2e/cluster -m 'not long' $(ARGS)

.PHONY: test-long
test-long: dev ## Run what `make test` leaves out (tests/README.md says what guards which part)
	@$(PYTEST) -m long $(ARGS)

.PHONY: test-run-long
test-run-long: dev ## Run what `make test-run` leaves out: a run that is killed at ten instants
	@$(PYTEST) -m long tests/e2e/one_machine tests/real_data $(ARGS)

.PHONY: e2e-long
e2e-long: dev ## Run what `make e2e` leaves out: cluster-up, restores and schedulers killed, checks failed, dates backfilled
	@$(BIN)/pytest tests/e2e/cluster -m long $(ARGS)

.PHONY: test-cloud
test-cloud: dev ## Run the whole pipeline on real BigQuery, in datasets of its own: make test-cloud GCP_PROJECT=my-project
	@[ -n "$${GCP_PROJECT:-}" ] || { echo "Name the project: make test-cloud GCP_PROJECT=my-project" >&2; exit 2; }
	@$(BIN)/pytest tests/cloud $(ARGS)

.PHONY: lint
lint: dev ## Check style, types, SQL, YAML and shell
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/sqlfluff lint --disable-progress-bar sql
	$(BIN)/yamllint --strict .
	git ls-files -z '*.sh' .ci/run | xargs -0 $(BIN)/shellcheck

.PHONY: format
format: dev ## Rewrite Python and SQL in the house style
	$(BIN)/ruff check --fix
	$(BIN)/ruff format
	$(BIN)/sqlfluff fix --disable-progress-bar sql

.PHONY: dev
dev: $(VENV)/.dev jars ## Install what tests and lint need into .venv

.PHONY: test-tools
test-tools: $(VENV)/.uv ## Install what the tests start: Postgres 15, Chromium, podman, and built from source MinIO, Helm and a Kubernetes API server
	@requirements/install-debian-packages.sh $(TEST_PACKAGES)
	@requirements/install-cluster-tools.sh
	@requirements/check-prerequisites.sh --tests >/dev/null
	@$(BIN)/python -m user_analytics.cluster.go_programs minio helm kubeconform kube-score etcd \
	  kubernetes/kube-apiserver kubernetes/kube-controller-manager kubernetes/kubectl
	@go -C requirements/go/kubernetes mod download k8s.io/kubernetes
	@go -C requirements/go/spark-operator mod download github.com/kubeflow/spark-operator/v2
	@$(BIN)/python -m user_analytics.cluster.base_image
	@echo "All that the tests start is there."

.PHONY: bench-extraction
bench-extraction: $(VENV)/.benchmarks $(MINIO) ## Measure `ingest purchases` beside psql, pandas and others, on the same Postgres and MinIO
	@$(BIN)/python -m benchmarks.extraction --rows '$(strip $(ROWS))' --minio $(MINIO)

.PHONY: bench-sentiment
bench-sentiment: $(VENV)/.benchmarks ## Measure the judging of reviews beside the transfer alone, pyspark.ml, scikit-learn and VADER
	@[ -n '$(strip $(LABELLED))' ] || { echo "Name labelled reviews: make bench-sentiment LABELLED=file.parquet" >&2; exit 2; }
	@$(BIN)/python -m benchmarks.sentiment --labelled '$(strip $(LABELLED))' \
	  $(if $(strip $(REVIEWS)),--reviews '$(strip $(REVIEWS))')

.PHONY: lock
lock: dev ## Write requirements/*.txt anew from pyproject.toml, and requirements/go from versions.env
	@compile() { $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' "$$@"; }; \
	compile --extra cluster --extra dev --extra embedded --extra spark --extra train pyproject.toml -o requirements/dev.txt; \
	compile -c requirements/dev.txt pyproject.toml -o requirements/runtime.txt; \
	compile -c requirements/dev.txt --extra spark pyproject.toml -o requirements/spark.txt; \
	compile -c requirements/dev.txt --extra spark --extra embedded --extra train pyproject.toml -o requirements/embedded.txt; \
	compile requirements/build.in -o requirements/build.txt; \
	compile -c requirements/dev.txt --extra benchmarks pyproject.toml -o requirements/benchmarks.txt; \
	compile requirements/uv.in -o requirements/uv.txt; \
	compile -c requirements/dev.txt --extra cluster pyproject.toml -o requirements/cluster.txt; \
	compile -c requirements/dev.txt requirements/emulator.in -o requirements/emulator.txt; \
	compile -c requirements/dev.txt requirements/postgres.in -o requirements/postgres.txt; \
	compile requirements/airflow.in -o requirements/airflow.txt; \
	compile -c requirements/airflow.txt requirements/airflow-tests.in -o requirements/airflow-tests.txt; \
	requirements/lock-go.sh

##@ Cluster

.PHONY: cluster-tools
cluster-tools: ## Install on Debian what the cluster needs (all but Go), and build kind, Helm and the checks from source
	@requirements/install-cluster-tools.sh
	@requirements/check-prerequisites.sh --cluster --installed >/dev/null
	@$(MAKE) --no-print-directory --silent $(VENV)/.cluster
	@$(BIN)/python -m user_analytics.cluster.go_programs kind helm kubeconform kube-score

.PHONY: cluster-up
cluster-up: ## Bring up the cluster with all its parts, from whatever there is; again: nothing changes
	@requirements/check-prerequisites.sh --cluster >/dev/null
	@$(MAKE) --no-print-directory --silent $(VENV)/.cluster
	@$(BIN)/python -m user_analytics.cluster.up

.PHONY: cluster-status
cluster-status: $(VENV)/.cluster ## Say of every part whether it is ready, or why not; pages, and what ran and was published last
	@$(BIN)/python -m user_analytics.cluster.status

.PHONY: cluster-logs
cluster-logs: $(VENV)/.cluster ## Print the logs of all that failed, or of APP: an application, a Job, a pod or a stage
	@$(BIN)/python -m user_analytics.cluster.logs --lines '$(strip $(TAIL))' '$(strip $(APP))'

.PHONY: backup
backup: $(VENV)/.cluster ## Copy the data of MinIO, Postgres and the emulator to the folder TO; they stop meanwhile
	@$(BIN)/python -m user_analytics.cluster.backup '$(strip $(TO))'

.PHONY: restore
restore: $(VENV)/.cluster ## Replace that data by the backup in the folder FROM; they stop meanwhile
	@$(BIN)/python -m user_analytics.cluster.restore '$(strip $(FROM))'

.PHONY: cluster-down
cluster-down: $(VENV)/.cluster ## Remove the cluster with all its data, and all that it left; images and caches stay
	@$(BIN)/python -m user_analytics.cluster.down

##@ The pipeline on the cluster, stage by stage

OF_DATE = $(if $(strip $(DATE)),--date '$(strip $(DATE))')
LAUNCH = @$(BIN)/python -m user_analytics.cluster.launch $(OF_DATE)

.PHONY: load-data
load-data: $(VENV)/.cluster ## Put REVIEWS and PURCHASES into the cluster, or the sample when neither is given
	@$(BIN)/python -m user_analytics.cluster.load_data $(if $(strip $(REVIEWS)),--reviews '$(strip $(REVIEWS))') \
	  $(if $(strip $(PURCHASES)),--purchases '$(strip $(PURCHASES))')

.PHONY: ingest
ingest: $(VENV)/.cluster ## Ingest both sources for DATE, in Jobs
	$(LAUNCH) ingest-reviews ingest-purchases --set mode='$(strip $(MODE))' $(ARGS)

.PHONY: apply
apply: $(VENV)/.cluster ## Run the SparkApplication APP for DATE: make apply APP=movie-review
	@case '$(strip $(APP))' in \
	  movie-review | user-purchase) ;; \
	  '') echo "Name the application: make apply APP=movie-review (or user-purchase)" >&2; exit 2 ;; \
	  *) echo 'APP=$(strip $(APP)) is neither movie-review nor user-purchase' >&2; exit 2 ;; \
	esac
	$(LAUNCH) '$(strip $(APP))' $(ARGS)

.PHONY: publish
publish: $(VENV)/.cluster ## Audit and publish what is staged of DATE, in a Job
	$(LAUNCH) publish $(ARGS)

.PHONY: views
views: $(VENV)/.cluster ## Create the four views, in a Job
	$(LAUNCH) views $(ARGS)

.PHONY: report
report: $(VENV)/.cluster ## Write the report of DATE, in a Job, and copy it to build/reports
	@$(BIN)/python -m user_analytics.cluster.report $(OF_DATE) $(ARGS)

.PHONY: query
query: $(VENV)/.cluster ## Print a VIEW of the cluster's warehouse
	@$(BIN)/python -m user_analytics.cluster.command_line query '$(strip $(VIEW))' --format '$(strip $(FORMAT))'

##@ The pipeline on the cluster, by Airflow

.PHONY: dag-run
dag-run: $(VENV)/.cluster ## Run the DAG for DATE from its start, follow it to its end, print what it published
	@[ -n '$(strip $(DATE))' ] || { echo "Name the date: make dag-run DATE=2010-12-08" >&2; exit 2; }
	@$(BIN)/python -m user_analytics.cluster.dag_run --from '$(strip $(DATE))' --mode '$(strip $(MODE))'

.PHONY: backfill
backfill: $(VENV)/.cluster ## Run the DAG for each date FROM … TO, ascending, one at a time: make backfill FROM=… TO=… MODE=incremental
	@[ -n '$(strip $(FROM))' ] && [ -n '$(strip $(TO))' ] || { echo "Name the dates: make backfill FROM=2010-12-06 TO=2010-12-08" >&2; exit 2; }
	@$(BIN)/python -m user_analytics.cluster.dag_run --from '$(strip $(FROM))' --to '$(strip $(TO))' --mode '$(strip $(MODE))'

.PHONY: airflow-password
airflow-password: $(VENV)/.cluster ## Print the address of Airflow's web page, and user and password
	@$(BIN)/python -m user_analytics.cluster.airflow

##@ Images

.PHONY: images
images: $(VENV)/.cluster ## Build the images whose content has changed; one alone: make image-spark (see images/README.md)
	@$(BIN)/python -m user_analytics.cluster.catalogue

image-%: $(VENV)/.cluster ## Build one image: make image-spark
	@$(BIN)/python -m user_analytics.cluster.catalogue $*

##@ Help

.PHONY: help
help: ## List the commands
	@awk 'BEGIN {FS = "[:?]?=? *[^#]*## "} \
	  /^##@/ {printf "\n\033[1m%s\033[0m\n", substr($$0, 5)} \
	  /^[A-Za-z0-9_-]+ *(:|\?=).*## / {split($$0, name, /[ :?]/); printf "  \033[36m%-16s\033[0m %s\n", name[1], substr($$0, index($$0, "## ") + 3)}' \
	  $(MAKEFILE_LIST)

# --- how the environments come to be ---------------------------------------------------------------------

$(VENV)/.uv: requirements/uv.txt
	@python=$$(requirements/check-prerequisites.sh); \
	echo "Making $(VENV) with $$python"; \
	"$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@touch $@

$(VENV)/.embedded: $(VENV)/.uv requirements/embedded.txt requirements/build.txt pyproject.toml hatch_build.py user_analytics/sentiment/kernel.c
	@requirements/check-prerequisites.sh >/dev/null
	@echo "Installing the pipeline and its packages into $(VENV)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/embedded.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --build-constraints requirements/build.txt --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.embedded requirements/dev.txt
	@echo "Installing what tests and lint need into $(VENV)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt
	@touch $@

$(VENV)/.cluster: $(VENV)/.embedded requirements/cluster.txt
	@echo "Installing what talks to the cluster into $(VENV)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/cluster.txt
	@touch $@

# apart: Airflow holds other versions of what both need
$(AIRFLOW)/.airflow: requirements/airflow.txt requirements/airflow-tests.txt | $(VENV)/.uv
	@echo "Installing Airflow into $(AIRFLOW)"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(AIRFLOW)
	@$(BIN)/uv pip install --quiet --python $(AIRFLOW)/bin/python --require-hashes \
	  -r requirements/airflow.txt -r requirements/airflow-tests.txt
	@touch $@

$(VENV)/.benchmarks: $(VENV)/.dev requirements/benchmarks.txt
	@echo "Installing what the benchmarks compare with into $(VENV)"
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/benchmarks.txt
	@touch $@

.PHONY: jars
jars: $(VENV)/.uv
	@$(BIN)/python -m user_analytics.spark.jars

$(MINIO): | $(VENV)/.uv
	@requirements/check-prerequisites.sh --tests >/dev/null
	@$(BIN)/python -m user_analytics.cluster.go_programs minio
