# facematchd: one Makefile, out of tree. `make help` lists the targets.
#
#   make                     build into build/release
#   make CC=clang VARIANT=clang
#   make SANITIZE=address,undefined VARIANT=asan
#   make install PREFIX=/usr DESTDIR=/tmp/stage

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

PKGS         := libprotobuf-c libjpeg spng libwebp libwebpdemux sqlite3 nettle uuid inih
PKGS_DAEMON  := libmicrohttpd jansson libsystemd
PKGS_CLI     := jansson
PKGS_TEST    := criterion libcurl jansson
pkg_cflags    = $(shell pkg-config --cflags $(1) 2>/dev/null)
pkg_libs      = $(shell pkg-config --libs $(1) 2>/dev/null)

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

ARCH := $(firstword $(subst -, ,$(shell $(CC) -dumpmachine)))

# ---- sources ------------------------------------------------------------------------------------------------------
ROOMS      := base cpu kernels onnx nn image face search gallery
LIB_SRC    := $(foreach room,$(ROOMS),$(wildcard lib/$(room)/*.c))
DAEMON_SRC := $(wildcard daemon/*.c daemon/handlers/*.c)
CLI_SRC    := $(wildcard cli/*.c)
# A kernel's suffix picks its compiler flags; kernels of another architecture are left out.
X86_SUFFIXES := %_sse41.c %_avx2.c %_avx512vnni.c
ifneq ($(ARCH),x86_64)
LIB_SRC := $(filter-out $(X86_SUFFIXES),$(LIB_SRC))
endif
isa_flags = $(if $(filter %_avx2.c,$(1)),-mavx2 -mfma)$(if $(filter %_avx512vnni.c,$(1)),-mavx512f -mavx512bw \
            -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mprefer-vector-width=512)

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
TESTS      := $(TEST_SRC:%.c=$(B)/%)
HTTP_TESTS := $(HTTP_SRC:%.c=$(B)/%)
STRESSES   := $(STRESS_SRC:%.c=$(B)/%)
REPLAYS    := $(FUZZ_SRC:tests/fuzz/fuzz_%.c=$(B)/tests/fuzz/replay_%)
# tests/support/*.c are helpers that every test may use.
SUPPORT_OBJ := $(patsubst %.c,$(B)/%.o,$(wildcard tests/support/*.c))

.PHONY: all help
all: $(B)/facematchd $(B)/facematchctl

help:
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 20

# ---- building -----------------------------------------------------------------------------------------------------
$(B)/facematchd: $(B)/daemon/main.o $(DAEMON_LIB) $(LIB)
	$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) $(LDLIBS)

$(B)/facematchctl: $(B)/cli/main.o $(CLI_LIB) $(LIB)
	$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_CLI)) $(LDLIBS)

$(LIB): $(LIB_OBJ)
$(DAEMON_LIB): $(DAEMON_OBJ)
$(CLI_LIB): $(CLI_OBJ)
$(LIB) $(DAEMON_LIB) $(CLI_LIB):
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $^

# onnx.proto comes with Debian's libonnx-dev; our own copy would be a fork.
ONNX_PROTO_DIR ?= /usr/include/onnx
$(B)/gen/onnx.pb-c.c $(B)/gen/onnx.pb-c.h &: $(ONNX_PROTO_DIR)/onnx.proto
	@mkdir -p $(B)/gen
	protoc-c --proto_path=$(ONNX_PROTO_DIR) --c_out=$(B)/gen onnx.proto

$(B)/gen/onnx.pb-c.o: $(B)/gen/onnx.pb-c.c
	$(CC) $(filter-out $(WARNINGS),$(BASE_CFLAGS)) $(CFLAGS) $(call pkg_cflags,libprotobuf-c) -c -o $@ $<

$(patsubst %.c,$(B)/%.o,$(wildcard lib/onnx/*.c)): $(B)/gen/onnx.pb-c.h

$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE_CFLAGS) $(CFLAGS) $(CPPFLAGS) $(call isa_flags,$<) -MMD -MP -c -o $@ $<

$(TESTS) $(HTTP_TESTS): $(B)/%: $(B)/%.o $(SUPPORT_OBJ) $(DAEMON_LIB) $(CLI_LIB) $(LIB)
	$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_TEST) $(PKGS_DAEMON) $(PKGS_CLI)) $(LDLIBS)

$(STRESSES): $(B)/%: $(B)/%.o $(DAEMON_LIB) $(LIB)
	$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) $(LDLIBS)

# A fuzz harness is a LLVMFuzzerTestOneInput; replay.c runs it over a corpus without clang.
$(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/fuzz_%.o $(B)/tests/fuzz/replay.o $(DAEMON_LIB) $(LIB)
	$(CC) $(BASE_LDFLAGS) $(LDFLAGS) -o $@ $^ $(call pkg_libs,$(PKGS_DAEMON)) $(LDLIBS)

.PHONY: tests models
tests: all $(TESTS) $(HTTP_TESTS) $(REPLAYS)
models: ## fetch the default networks into build/models
	scripts/fetch-models.sh build/models

.PHONY: clean
clean: ## remove what was built (fetched models stay)
	rm -rf $(filter-out build/models build/npm build/cache,$(wildcard build/*))

.SECONDARY:
-include $(shell test -d $(B) && find $(B) -name '*.d')
