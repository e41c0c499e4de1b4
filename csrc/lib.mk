# The C library. Paths are relative to the top of the checkout, which may hold a space.
#   lib          softjac/native/libsoftjac.so, the sandbox's allocator beside it, and the cffi
#                module _abi.py
CC ?= cc
CFLAGS ?=
SOFTJAC_CFLAGS := -std=c11 -O2 -g0 -fPIC -fvisibility=hidden -ffp-contract=off -Wall -Wextra -Wno-psabi $(CFLAGS)
SOFTJAC_OBJECTS_DIR := build/csrc
SOFTJAC_TARGET := $(shell $(CC) -dumpmachine 2>/dev/null)
SOFTJAC_SOURCES := api dispatch compose threads xla_ffi kernels_portable $(if $(filter x86_64%,$(SOFTJAC_TARGET)),kernels_avx2 kernels_avx512) \
    $(patsubst csrc/%.c,%,$(wildcard csrc/guard.c))
SOFTJAC_OBJECTS := $(SOFTJAC_SOURCES:%=$(SOFTJAC_OBJECTS_DIR)/%.o)
SOFTJAC_LIBRARY := softjac/native/libsoftjac.$(if $(findstring darwin,$(SOFTJAC_TARGET)),dylib,so)
# Of glibc alone: it takes the place of that one's allocator.
SOFTJAC_HEAP := $(if $(findstring linux-gnu,$(SOFTJAC_TARGET)),softjac/native/libsoftjac_heap.so)
SOFTJAC_PYTHON ?= $(if $(wildcard $(VENV)/bin/python),$(VENV)/bin/python,$(PYTHON))

$(SOFTJAC_OBJECTS_DIR)/kernels_avx2.o: SOFTJAC_ISA_FLAGS := -O3 -mavx2 -mfma -mf16c
$(SOFTJAC_OBJECTS_DIR)/kernels_avx512.o: SOFTJAC_ISA_FLAGS := -O3 -mavx512f -mavx512vl -mavx512dq -mavx512bw \
    -mfma -mf16c

.PHONY: lib
lib: $(SOFTJAC_LIBRARY) $(SOFTJAC_HEAP) softjac/native/_abi.py ## build the C library and its cffi module

$(SOFTJAC_OBJECTS_DIR)/%.o: csrc/%.c $(wildcard csrc/*.h) csrc/lib.mk
	@command -v $(firstword $(CC)) >/dev/null || { \
	  echo "no C compiler: '$(CC)' is not found; install gcc or clang, or name one: make CC=..." >&2; \
	  exit 2; }
	@mkdir -p $(@D)
	$(CC) $(SOFTJAC_CFLAGS) $(SOFTJAC_ISA_FLAGS) -c $< -o $@

$(SOFTJAC_LIBRARY): $(SOFTJAC_OBJECTS)
	$(CC) -shared $(LDFLAGS) $^ -lm -pthread -o $@.new
	@mv -f $@.new $@ # whoever loads the library meanwhile has the old one or the new one

$(SOFTJAC_HEAP): $(SOFTJAC_OBJECTS_DIR)/heap.o
	$(CC) -shared $(LDFLAGS) $^ -ldl -pthread -o $@.new
	@mv -f $@.new $@

softjac/native/_abi.py: csrc/softjac.h csrc/build_abi.py
	"$(SOFTJAC_PYTHON)" csrc/build_abi.py csrc/softjac.h $@

# --- the library under the sanitizers and valgrind, on every ISA that the machine has --------------

EXERCISED := $(if $(filter x86_64%,$(SOFTJAC_TARGET)),kernels_avx2 kernels_avx512) \
    kernels_portable api dispatch compose threads
ISAS ?= portable avx2 avx512
SANITIZERS := -O1 -g1 -fsanitize=address,undefined -fno-sanitize-recover=all
SANITIZED := build/sanitize
PLAIN := build/memcheck

$(SANITIZED)/%.o $(PLAIN)/%.o: SOFTJAC_ISA_FLAGS :=
$(SANITIZED)/kernels_avx2.o $(PLAIN)/kernels_avx2.o: SOFTJAC_ISA_FLAGS := -mavx2 -mfma -mf16c
$(SANITIZED)/kernels_avx512.o $(PLAIN)/kernels_avx512.o: SOFTJAC_ISA_FLAGS := -mavx512f -mavx512vl \
    -mavx512dq -mavx512bw -mfma -mf16c

$(SANITIZED)/%.o: csrc/%.c $(wildcard csrc/*.h) csrc/lib.mk
	@mkdir -p $(@D)
	$(CC) $(SOFTJAC_CFLAGS) $(SANITIZERS) $(SOFTJAC_ISA_FLAGS) -c $< -o $@
$(PLAIN)/%.o: csrc/%.c $(wildcard csrc/*.h) csrc/lib.mk
	@mkdir -p $(@D)
	$(CC) $(SOFTJAC_CFLAGS) -g1 $(SOFTJAC_ISA_FLAGS) -c $< -o $@
$(SANITIZED)/exercise: $(EXERCISED:%=$(SANITIZED)/%.o) $(SANITIZED)/exercise.o
	$(CC) $(SANITIZERS) $^ -lm -pthread -o $@
$(PLAIN)/exercise: $(EXERCISED:%=$(PLAIN)/%.o) $(PLAIN)/exercise.o
	$(CC) $^ -lm -pthread -o $@

# Compiling is most of it: on as many processors as there are.
IN_PARALLEL = $(MAKE) --no-print-directory -f csrc/lib.mk -j$(shell getconf _NPROCESSORS_ONLN)

.PHONY: sanitize
sanitize: ## the C library under AddressSanitizer and UBSan, on every ISA
	@$(IN_PARALLEL) $(SANITIZED)/exercise
	@for isa in $(ISAS); do SOFTJAC_FORCE_ISA=$$isa $(SANITIZED)/exercise || \
	  { [ $$? -eq 77 ] && echo "$$isa: not on this processor"; } || exit 1; done

# valgrind knows AVX2 but not AVX-512, and hides what it does not know from CPUID.
.PHONY: memcheck
memcheck: ## the C library under valgrind, plain C and AVX2
	@command -v valgrind >/dev/null || { echo "valgrind is not found; install it" >&2; exit 2; }
	@$(IN_PARALLEL) $(PLAIN)/exercise
	@for isa in portable avx2; do SOFTJAC_FORCE_ISA=$$isa valgrind --quiet --error-exitcode=3 --leak-check=full \
	  --errors-for-leak-kinds=definite --show-leak-kinds=definite $(PLAIN)/exercise || exit 1; done
