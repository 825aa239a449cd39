# facematchd: one Makefile, out of tree. `make help` lists the targets.
#
#   make                     build into build/release
#   make CC=clang VARIANT=clang
#   make SANITIZE=address,undefined VARIANT=asan
#   make install PREFIX=/usr DESTDIR=/tmp/stage
#   make V=1                 shows the commands

VERSION := 0.1.0

ifeq ($(origin CC),default)
CC       := gcc
endif

PREFIX   ?= /usr/local
DESTDIR  ?=
CFLAGS   ?= -O2 -g
VARIANT  ?= release
SANITIZE ?=
B        := build/$(VARIANT)

bindir      = $(PREFIX)/bin
sbindir     = $(PREFIX)/sbin
datadir     = $(PREFIX)/share
mandir      = $(datadir)/man
sysconfdir ?= $(if $(filter /usr,$(PREFIX)),/etc,$(PREFIX)/etc)
unitdir    ?= $(PREFIX)/lib/systemd/system
modeldir    = $(datadir)/facematchd/models

PKGS         := libprotobuf-c libjpeg spng libwebp libwebpdemux sqlite3 libsodium nettle uuid inih
PKGS_DAEMON  := libmicrohttpd gnutls jansson libsystemd
PKGS_CLI     := jansson libcurl
PKGS_TEST    := criterion libcurl jansson
pkg_cflags    = $(shell pkg-config --cflags $(1) 2>/dev/null)
pkg_libs      = $(shell pkg-config --libs $(1) 2>/dev/null)

# onnx.proto comes with Debian's libonnx-dev; our own copy would be a fork.
ONNX_PROTO_DIR ?= /usr/include/onnx

# ---- what a build needs -------------------------------------------------------------------------------------------
# Goals that do their own set-up, or need none, run on a bare machine; for the others say plainly what is missing.
SELF_SUFFICIENT := help clean check check-cpus check-arm64 check-quantized report-quantization demo models format check-format install-deps bench bench-peers bench-search bench-search-peers
NEEDY_GOALS     := $(filter-out $(SELF_SUFFICIENT),$(or $(MAKECMDGOALS),all))
ifneq ($(NEEDY_GOALS),)
MISSING := $(shell command -v $(firstword $(CC)) >/dev/null || echo $(CC); \
             command -v protoc-c >/dev/null || echo protoc-c; \
             test -e $(ONNX_PROTO_DIR)/onnx.proto || echo $(ONNX_PROTO_DIR)/onnx.proto; \
             if ! command -v pkg-config >/dev/null; then echo pkg-config; else \
               for package in $(PKGS) $(PKGS_DAEMON) $(PKGS_CLI); do \
                 pkg-config --exists $$package || echo $$package; done; fi)
ifneq ($(strip $(MISSING)),)
$(error Missing: $(strip $(MISSING)). Run scripts/install-deps.sh, which installs the Debian packages)
endif
endif

# ---- flags --------------------------------------------------------------------------------------------------------
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wwrite-strings \
            -Wundef -Wvla -Wformat=2 -Wno-missing-field-initializers -Wno-format-nonliteral
# One rounding per written operation on every CPU: no contraction into FMA, never -ffast-math (docs/KERNELS.md).
BASE_CFLAGS := -std=gnu11 -fno-math-errno -ffp-contract=off -fstack-protector-strong -fPIE -pthread $(WARNINGS) \
            -D_GNU_SOURCE -DFM_VERSION='"$(VERSION)"' -DFM_DATADIR='"$(datadir)/facematchd"' \
            -DFM_SYSCONFDIR='"$(sysconfdir)/facematchd"' -I. -I$(B)/gen
ifneq ($(SANITIZE),)
BASE_CFLAGS += -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
BASE_LDFLAGS += -fsanitize=$(SANITIZE)
else
BASE_CFLAGS += -D_FORTIFY_SOURCE=2
endif
BASE_LDFLAGS += -pthread -pie -Wl,-z,relro,-z,now
LDLIBS = $(call pkg_libs,$(PKGS)) -lm

ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine 2>/dev/null)))

# ---- sources ------------------------------------------------------------------------------------------------------
ROOMS      := base auth cpu kernels onnx nn image face search gallery
LIB_SRC    := $(foreach room,$(ROOMS),$(wildcard lib/$(room)/*.c))
DAEMON_SRC := $(wildcard daemon/*.c daemon/handlers/*.c)
CLI_SRC    := $(wildcard cli/*.c)
# A kernel's suffix picks its compiler flags; kernels of another architecture are left out.
X86_SUFFIXES := %_sse41.c %_avx2.c %_avxvnni.c %_avx512vlvnni.c %_avx512vnni.c
ARM_SUFFIXES := %_neon.c %_neondot.c
FOREIGN_SUFFIXES := $(if $(filter x86_64,$(ARCH)),,$(X86_SUFFIXES)) $(if $(filter aarch64,$(ARCH)),,$(ARM_SUFFIXES))
LIB_SRC := $(filter-out $(FOREIGN_SUFFIXES),$(LIB_SRC))
flags_sse41        := -msse4.1
flags_avx2         := -mavx2 -mfma
flags_avxvnni      := $(flags_avx2) -mavxvnni
flags_avx512vlvnni := $(flags_avx2) -mavx512f -mavx512vl -mavx512vnni
flags_avx512vnni   := $(flags_avx512vlvnni) -mavx512bw -mavx512dq -mprefer-vector-width=512
# Before it allocates registers, gcc 12 hoists the loads of neondot's loop and so spills its tile.
flags_neondot      := -march=armv8.2-a+dotprod $(if $(findstring clang,$(CC)),,-fno-schedule-insns)
isa_flags = $(flags_$(lastword $(subst _, ,$(basename $(notdir $(1))))))
# Unrolled vector kernels take clang's sanitizers minutes and gigabytes each: fuzzing runs their scalar twins instead,
# and check-asan replays the corpus of networks with gcc's under each ISA.
unsanitized = $(if $(and $(findstring fuzzer,$(SANITIZE)),$(call isa_flags,$(1))),-fno-sanitize=all)

LIB_OBJ    := $(LIB_SRC:%.c=$(B)/%.o) $(B)/gen/onnx.pb-c.o
DAEMON_OBJ := $(filter-out $(B)/daemon/main.o,$(DAEMON_SRC:%.c=$(B)/%.o))
CLI_OBJ    := $(filter-out $(B)/cli/main.o,$(CLI_SRC:%.c=$(B)/%.o))
LIB        := $(B)/libfacematch.a
DAEMON_LIB := $(B)/libfacematchd.a
CLI_LIB    := $(B)/libfacematchctl.a

TEST_SRC   := $(wildcard tests/unit/*/test_*.c tests/kernels/test_*.c)
HTTP_SRC   := $(wildcard tests/http/test_*.c)
STRESS_SRC := $(wildcard tests/stress/stress_*.c)
FUZZ_SRC   := $(wildcard tests/fuzz/fuzz_*.c)
BENCH_SRC  := $(wildcard tests/bench/bench_*.c)
SCRIPT_TESTS := $(wildcard tests/scripts/test_*.sh)
TESTS      := $(TEST_SRC:%.c=$(B)/%)
PLAIN_TESTS := $(patsubst tests/kernels/%.c,$(B)/tests/plain/kernels/%,$(wildcard tests/kernels/test_*.c))
HTTP_TESTS := $(HTTP_SRC:%.c=$(B)/%)
STRESSES   := $(STRESS_SRC:%.c=$(B)/%)
REPLAYS    := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(B)/tests/fuzz/replay_%)
FUZZERS    := $(FUZZ_SRC:%.c=$(B)/%)
BENCHES    := $(BENCH_SRC:%.c=$(B)/%)
# tests/support/*.c are helpers that every test may use.
SUPPORT_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/support/*.c))

.PHONY: all help
all: $(B)/facematchd $(B)/facematchctl ## build the daemon and facematchctl

help:
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 18

# ---- building -----------------------------------------------------------------------------------------------------
ifeq ($(V),)
say = @printf '  %-4s %s\n' $(1) $(2);
else
say =
endif

# Everything is built anew when the compiler or its flags change.
.PHONY: FORCE
$(B)/gen/flags: FORCE
	@mkdir -p $(B)/gen
	@printf '%s\n' '$(CC) $(subst ','\'',$(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) $(BASE_LDFLAGS) $(LDFLAGS))' >$@.new
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

$(B)/facematchd: $(B)/daemon/main.o $(DAEMON_LIB) $(LIB)
	$(call say,LD,$@)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) $(LDLIBS)

$(B)/facematchctl: $(B)/cli/main.o $(CLI_LIB) $(LIB)
	$(call say,LD,$@)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_CLI)) $(LDLIBS)

$(LIB): $(LIB_OBJ)
$(DAEMON_LIB): $(DAEMON_OBJ)
$(CLI_LIB): $(CLI_OBJ)
$(LIB) $(DAEMON_LIB) $(CLI_LIB):
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)$(AR) rcs $@ $^

$(B)/gen/onnx.pb-c.c $(B)/gen/onnx.pb-c.h &: $(ONNX_PROTO_DIR)/onnx.proto
	@mkdir -p $(B)/gen
	$(call say,GEN,$(B)/gen/onnx.pb-c.c)protoc-c --proto_path=$(ONNX_PROTO_DIR) --c_out=$(B)/gen onnx.proto

$(B)/gen/onnx.pb-c.o: $(B)/gen/onnx.pb-c.c $(B)/gen/flags
	$(call say,CC,$<)$(CC) $(filter-out $(WARNINGS),$(BASE_CFLAGS)) $(CFLAGS) $(call pkg_cflags,libprotobuf-c) -c -o $@ $<

$(patsubst %.c,$(B)/%.o,$(wildcard lib/onnx/*.c)): $(B)/gen/onnx.pb-c.h

$(B)/%.o: %.c $(B)/gen/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) $(call isa_flags,$<) $(call unsanitized,$<) -MMD -MP -c -o $@ $<

# The program carries the description of its interface.
$(B)/daemon/handlers/files.o: config/openapi.json $(wildcard daemon/console/*)

$(TESTS) $(HTTP_TESTS): $(B)/%: $(B)/%.o $(SUPPORT_OBJ) $(DAEMON_LIB) $(CLI_LIB) $(LIB)
	$(call say,LD,$@)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_TEST) $(PKGS_DAEMON) $(PKGS_CLI)) $(LDLIBS)

# The kernel tests without Criterion, which cannot run under qemu-user: tests/plain has as much of it as they use.
$(B)/tests/plain/kernels/%.o: tests/kernels/%.c $(B)/gen/flags
	@mkdir -p $(@D)
	$(call say,CC,$<)$(CC) -Itests/plain $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) -MMD -MP -c -o $@ $<
$(PLAIN_TESTS): %: %.o $(LIB)
	$(call say,LD,$@)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ -lm

$(STRESSES) $(BENCHES): $(B)/%: $(B)/%.o $(DAEMON_LIB) $(LIB)
	$(call say,LD,$@)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) $(LDLIBS)

# A fuzz harness is a LLVMFuzzerTestOneInput; replay.c runs it over a corpus without clang.
$(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(DAEMON_LIB) $(CLI_LIB) $(LIB)
	$(call say,LD,$@)$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) $(LDLIBS)
$(B)/tests/fuzz/fuzz_%: $(B)/tests/fuzz/fuzz_%.o $(DAEMON_LIB) $(CLI_LIB) $(LIB)
	$(call say,LD,$@)$(CC) $(BASE_LDFLAGS) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) $(LDLIBS)

# ---- fetching -----------------------------------------------------------------------------------------------------
.PHONY: install-deps models demo-photos
install-deps: ## install the Debian packages that a build needs
	scripts/install-deps.sh build
models: ## fetch the default networks into build/models
	@scripts/fetch-models.sh build/models
demo-photos:
	@scripts/fetch-demo-photos.sh build/demo

# ---- testing ------------------------------------------------------------------------------------------------------
# A second make, because the first was read before the packages were there. Parallel unless the caller said -j.
SUBMAKE = $(MAKE) --no-print-directory $(if $(findstring jobserver,$(MAKEFLAGS)),,-j$(shell nproc))
RUN_TESTS = scripts/run-tests.sh --logs $(B)/test-logs

.PHONY: demo check tests run-tests run-unit-tests run-stress plain-tests check-quantized check-source check-isa check-cpus check-arm64 check-asan check-tsan
demo: ## install what is missing, build, and show enrolment, search and verification on real photos
	@scripts/install-deps.sh demo
	@$(SUBMAKE) all models demo-photos
	@scripts/demo.sh $(B)

check: ## install what is missing, build, and run every test
	@scripts/install-deps.sh test
	@$(SUBMAKE) tests models demo-photos
	@$(MAKE) --no-print-directory run-tests

plain-tests: $(PLAIN_TESTS)
tests: all $(TESTS) $(HTTP_TESTS) $(STRESSES) $(REPLAYS)
run-tests: tests
	@FM_BUILD=$(B) CC="$(CC)" $(RUN_TESTS) $(SCRIPT_TESTS) $(TESTS) $(HTTP_TESTS) $(STRESSES) $(REPLAYS)
run-unit-tests: all $(TESTS)
	@FM_BUILD=$(B) $(RUN_TESTS) $(TESTS)
run-all-binaries: all $(TESTS) $(HTTP_TESTS) $(REPLAYS)
	@FM_BUILD=$(B) $(RUN_TESTS) $(TESTS) $(HTTP_TESTS) $(REPLAYS)
run-stress: $(STRESSES)
	@FM_BUILD=$(B) $(RUN_TESTS) $(STRESSES)

check-source: $(LIB) ## layers, outside libraries, headers, format: the rules that a script can check
	@CFLAGS_HEADERS=-I$(B)/gen scripts/check-layers.sh $(if $(filter release,$(VARIANT)),--objects $(B))

# ISA_TESTS=… runs some of them: .ci/run names those of the rooms that compute.
ISA_TESTS = $(TESTS)
# Those that look through hundreds of photos do it under the best alone: the bits are the same.
SURVEYS = $(addprefix $(B)/tests/unit/face/test_,quality_photos yunet no_face)
COMPUTING_TESTS = $(filter-out $(SURVEYS),$(filter $(foreach room,kernels unit/nn unit/face unit/search,$(B)/tests/$(room)/%),$(TESTS)))
check-isa: all $(ISA_TESTS) models ## the tests again under each ISA cap that this machine can run
	@for isa in scalar sse41 avx2 avxvnni avx512vlvnni avx512vnni neon neondot; do \
	   case $$isa in scalar) flag=;; sse41) flag=sse4_1;; avxvnni) flag=avx_vnni;; avx512*) flag=avx512_vnni;; \
	     neon) flag=asimd;; neondot) flag=asimddp;; *) flag=$$isa;; esac; \
	   [ -z "$$flag" ] || grep -qE "^(flags|Features)\>.*\<$$flag\>" /proc/cpuinfo || \
	     { echo "== $$isa: skipped, this CPU lacks it"; continue; }; \
	   echo "== FACEMATCH_ISA=$$isa"; \
	   FACEMATCH_ISA=$$isa FM_BUILD=$(B) $(RUN_TESTS) $(ISA_TESTS) || exit 1; \
	 done

check-cpus: ## run this build on emulated older x86 processors, without AVX too: the same bits
	@scripts/install-deps.sh cpus
	@$(SUBMAKE) all plain-tests models demo-photos
	@scripts/check-cpus.sh $(B)

check-arm64: ## build for aarch64 and ask it, under qemu-user, for the same bits as this machine
	@scripts/install-deps.sh arm64
	@$(SUBMAKE) all models demo-photos
	@scripts/check-arm64.sh $(B)

check-quantized: ## ONNX Runtime on what `model quantize` writes: the same answers (skipped without node)
	@scripts/install-deps.sh models
	@$(SUBMAKE) all models demo-photos
	@scripts/check-quantized.sh $(B)

check-asan: models demo-photos ## the tests under the address and undefined-behaviour sanitizers, and damaged networks under each ISA
	@$(SUBMAKE) VARIANT=asan SANITIZE=address,undefined CFLAGS="-O1 -g" run-all-binaries
	@$(SUBMAKE) VARIANT=asan SANITIZE=address,undefined CFLAGS="-O1 -g" check-isa ISA_TESTS='$$(B)/tests/fuzz/replay_onnx'

check-tsan: models demo-photos ## the stress programs under the thread sanitizer
	@$(SUBMAKE) VARIANT=tsan SANITIZE=thread CFLAGS="-O1 -g" run-stress

.PHONY: bench-http
bench-http: models demo-photos ## identify over HTTP beside the pipeline alone, on two cores (JSON=1, PHOTO=file, ROUNDS=3)
	@scripts/install-deps.sh bench $(QUIET)
	@$(SUBMAKE) all $(B)/tests/bench/bench_http $(QUIET)
	@tests/bench/service.py $(B) $(if $(JSON),--json)

.PHONY: fuzz fuzz-build fuzz-replay report-rates report-quantization bench bench-kernels bench-gallery bench-start bench-peers bench-search bench-search-peers coverage run-coverage run-all-binaries
.PHONY: soak check-valgrind
MINUTES ?= 20
soak: models demo-photos ## live with the daemon for MINUTES=20 as good and bad clients do; nothing may grow or get lost
	@scripts/install-deps.sh bench
	@$(SUBMAKE) all
	@tests/soak/soak.py $(B) --minutes $(MINUTES)

check-valgrind: models demo-photos ## the daemon through its life under valgrind: no leak, no uninitialised read
	@scripts/install-deps.sh valgrind
	@$(SUBMAKE) all
	@tests/soak/valgrind.sh $(B)

FUZZ_SECONDS ?= 60
fuzz: ## run each fuzz harness for FUZZ_SECONDS (clang); a crashing input belongs into the corpus
	@scripts/install-deps.sh fuzz
	@$(SUBMAKE) VARIANT=fuzz CC=clang SANITIZE=fuzzer-no-link,address,undefined CFLAGS="-O1 -g" fuzz-build
	@set -e; for name in $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%); do \
	   mkdir -p build/fuzz/corpus/$$name tests/fuzz/corpus/$$name; \
	   echo "== $$name: $(FUZZ_SECONDS) s"; \
	   FACEMATCH_ISA=scalar build/fuzz/tests/fuzz/fuzz_$$name -max_total_time=$(FUZZ_SECONDS) -timeout=20 \
	     -rss_limit_mb=2048 -print_final_stats=1 \
	     -artifact_prefix=build/fuzz/crash-$$name- build/fuzz/corpus/$$name tests/fuzz/corpus/$$name; done
fuzz-build: $(FUZZERS)
fuzz-replay: $(REPLAYS) ## run the fuzz harnesses over their corpora
	@$(RUN_TESTS) $(REPLAYS)

# JSON=1: JSON on standard output and everything else on standard error.
QUIET = $(if $(JSON),>&2)
bench: ## install what is missing, build, and time every network and the search under every ISA (JSON=1, CPU=core, FM_NETS=files)
	@scripts/install-deps.sh bench $(QUIET)
	@$(SUBMAKE) all $(B)/tests/bench/bench_kernels models $(QUIET)
	@tests/bench/nets.py $(B) $(if $(JSON),--json)
	@tests/bench/search.py $(B) $(if $(JSON),--json)

bench-search: ## time exact search: every ISA, 1 to 16 probes at once (JSON=1, CPU=core, FACES=1000000)
	@scripts/install-deps.sh bench $(QUIET)
	@$(SUBMAKE) all $(QUIET)
	@tests/bench/search.py $(B) $(if $(JSON),--json)

bench-search-peers: ## exact search here and in FAISS, in turns (JSON=1, CPU=core, FACES=1000000, ROUNDS=3)
	@scripts/install-deps.sh bench-peers $(QUIET)
	@$(SUBMAKE) all $(QUIET)
	@tests/bench/search.py $(B) --peers $(if $(JSON),--json)

report-quantization: ## write the table of docs/QUANTIZATION.md: accuracy, cosine, size, time (FM_SHARED_DATA, CPU=core)
	@scripts/install-deps.sh bench
	@$(SUBMAKE) all models
	@scripts/fetch-onnxruntime.sh
	@tests/bench/quantization.py $(B) --write

bench-kernels: $(B)/tests/bench/bench_kernels $(B)/tests/bench/bench_between ## time every kernel on the shapes of the networks
	@$(B)/tests/bench/bench_kernels
	@$(B)/tests/bench/bench_between

bench-gallery: $(B)/tests/bench/bench_gallery ## time enrolment, deletion, reading, and searches beside them on this disk (FACES=100000)
	@$< --directory $(B) --faces $(or $(FACES),100000)

bench-start: all models $(B)/tests/bench/bench_gallery ## time a start with a full gallery, page cache warm and cold (JSON=1, FACES=100000, ROUNDS=9)
	@FACES=$(or $(FACES),100000) ROUNDS=$(or $(ROUNDS),9) tests/bench/start.py $(B) $(if $(JSON),--json)

report-rates: all models ## stated error rates, measured on people held out (IMAGES=DIR, SPLITS=100)
	@scripts/report-rates.sh $(B) "$(IMAGES)" $(SPLITS)

bench-peers: ## the networks here, in ONNX Runtime and in OpenCV, in turns (JSON=1, CPU=core, ROUNDS=7)
	@scripts/install-deps.sh bench-peers $(QUIET)
	@$(SUBMAKE) all models $(QUIET)
	@scripts/bench-peers.sh $(B) $(if $(JSON),--json)

coverage: models demo-photos ## lines and branches that the tests reach
	@scripts/install-deps.sh coverage
	@$(SUBMAKE) VARIANT=coverage CFLAGS="-O0 -g --coverage" LDFLAGS=--coverage run-coverage
run-coverage: tests
	@find $(B) -name '*.gcda' -delete
	@FM_BUILD=$(B) $(RUN_TESTS) $(TESTS) $(HTTP_TESTS) $(STRESSES) $(REPLAYS)
	@gcovr --root . --filter 'lib/' --filter 'daemon/' --filter 'cli/' --print-summary $(B) | tee $(B)/coverage.txt

# ---- formatting ---------------------------------------------------------------------------------------------------
FORMATTED = $(shell find lib daemon cli tests -name '*.[ch]' 2>/dev/null)
.PHONY: format check-format
format: ## lay the sources out by .clang-format
	@scripts/install-deps.sh format
	@clang-format -i $(FORMATTED)
check-format: ## say which sources are not laid out by .clang-format
	@scripts/install-deps.sh format
	@clang-format --dry-run -Werror $(FORMATTED)

# ---- installing ---------------------------------------------------------------------------------------------------
MANIFESTS = $(wildcard config/models/*.conf)
MODELS    = fr_detect fr_landmark fr_feature
.PHONY: install uninstall
install: all models ## install under PREFIX, below DESTDIR; an existing configuration file is left alone
	install -d $(DESTDIR)$(bindir) $(DESTDIR)$(sbindir) $(DESTDIR)$(modeldir) $(DESTDIR)$(unitdir) \
	  $(DESTDIR)$(sysconfdir)/facematchd $(DESTDIR)$(mandir)/man1 $(DESTDIR)$(mandir)/man5 $(DESTDIR)$(mandir)/man8
	install -m 755 $(B)/facematchd $(DESTDIR)$(sbindir)
	install -m 755 $(B)/facematchctl $(DESTDIR)$(bindir)
	install -m 644 $(MODELS:%=build/models/%.onnx) $(DESTDIR)$(modeldir)
	install -m 644 $(MANIFESTS) $(DESTDIR)$(modeldir)
	test -e $(DESTDIR)$(sysconfdir)/facematchd/facematchd.conf || \
	  install -m 644 config/facematchd.conf $(DESTDIR)$(sysconfdir)/facematchd
	sed 's|/usr/sbin/|$(sbindir)/|; s|/etc/facematchd|$(sysconfdir)/facematchd|' systemd/facematchd.service \
	  >$(DESTDIR)$(unitdir)/facematchd.service
	install -m 644 systemd/facematchd.socket $(DESTDIR)$(unitdir)
	for page in $(wildcard docs/man/*.[158]); do \
	  install -m 644 $$page $(DESTDIR)$(mandir)/man$${page##*.} || exit 1; done

uninstall: ## remove what install put there; configuration and gallery stay
	rm -f $(DESTDIR)$(sbindir)/facematchd $(DESTDIR)$(bindir)/facematchctl \
	  $(DESTDIR)$(unitdir)/facematchd.service $(DESTDIR)$(unitdir)/facematchd.socket
	rm -f $(foreach page,$(wildcard docs/man/*.[158]),$(DESTDIR)$(mandir)/man$(patsubst .%,%,$(suffix $(page)))/$(notdir $(page)))
	rm -rf $(DESTDIR)$(datadir)/facematchd

.PHONY: clean
clean: ## remove what was built (fetched models, photos and packages stay)
	rm -rf $(filter-out build/models build/demo build/npm build/cache,$(wildcard build/*))

.SECONDARY:
-include $(shell test -d $(B) && find $(B) -name '*.d')
