/* probes.h - USDT probes of provider mf, for bpftrace, perf and SystemTap (docs/tracing.md): a no-op instruction and a note
 * in the ELF file each, where the build found <sys/sdt.h>; nothing otherwise. Arguments are integers and pointers to text that
 * lives for the call. They are evaluated also while nobody looks: name what is at hand. */
#pragma once

#ifdef MF_PROBES
#include <sys/sdt.h>
#define MF_PROBE3(name, a, b, c) DTRACE_PROBE3(mf, name, a, b, c)
#define MF_PROBE4(name, a, b, c, d) DTRACE_PROBE4(mf, name, a, b, c, d)
#else
#define MF_PROBE3(name, a, b, c) ((void)(a), (void)(b), (void)(c))
#define MF_PROBE4(name, a, b, c, d) ((void)(a), (void)(b), (void)(c), (void)(d))
#endif
