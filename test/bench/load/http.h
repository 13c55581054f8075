//go:build ignore
// The little HTTP that the load programs speak, and their clock.
#pragma once
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline uint64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000ull + t.tv_nsec;
}

static inline void no_delay(int fd)
{
	int one = 1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

// Length of the complete response at the start of buf, 0 when more bytes are
// needed. buf must be zero-terminated at len.
static inline size_t response_length(const char *buf, size_t len)
{
	const char *end = memmem(buf, len, "\r\n\r\n", 4);
	if (!end)
		return 0;
	size_t head = end - buf + 4, body = 0;
	for (const char *line = buf; line && line < end; line = strstr(line, "\r\n")) {
		if (line != buf)
			line += 2;
		if (!strncasecmp(line, "content-length:", 15))
			body = strtoul(line + 15, NULL, 10);
	}
	return len >= head + body ? head + body : 0;
}

static inline int is_ok(const char *response)
{
	return !strncmp(response, "HTTP/1.1 200", 12);
}
