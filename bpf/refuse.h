/* Refusing a connect() or sendto(). */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "config.h"

#define ECONNREFUSED 111

#define ALLOW 1
#define DENY 0

/* refuse is what a program returns so that the call fails at once: with
 * ECONNREFUSED where the kernel lets us say so, else with EPERM. */
static __always_inline int refuse(void)
{
	if (has_set_retval)
		bpf_set_retval(-ECONNREFUSED);
	return DENY;
}
