//go:build ignore
// client: the load of the benchmarks.
//
//   client connect ADDR PORT MS         new connections, one at a time, one request each
//   client request ADDR PORT MS         requests on one kept connection
//   client rate    ADDR PORT MS CONNS   requests on CONNS connections as fast as they go
//   client watch                        see watch()
//
// The first three warm up, print "ready", begin when a line arrives on stdin,
// print one line of JSON (times in microseconds) and leave when stdin ends: so
// the caller can read CPU counters right before and right after.
#include "http.h"
#include <errno.h>
#include <sys/epoll.h>

#define MAX_SAMPLES (1 << 22)
#define MAX_CONNS 256
#define PATIENCE 10 // seconds for one answer
#define LONG_PATIENCE 60 // seconds for a changed answer

static const char query[] = "GET / HTTP/1.1\r\nhost: bench\r\n\r\n";
static struct sockaddr_in server;

struct samples {
	uint32_t ns[MAX_SAMPLES];
	size_t n;
};
static struct samples connects, answers;

static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "connection closed");
	exit(1);
}

static void add(struct samples *s, uint64_t ns)
{
	if (s->n < MAX_SAMPLES)
		s->ns[s->n++] = ns > UINT32_MAX ? UINT32_MAX : ns;
}

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

static double percentile(struct samples *s, double p)
{
	if (!s->n)
		return 0;
	qsort(s->ns, s->n, sizeof s->ns[0], by_value);
	return s->ns[(size_t)((s->n - 1) * p)] / 1e3;
}

static void set_server(const char *addr, const char *port)
{
	server.sin_family = AF_INET;
	server.sin_port = htons(atoi(port));
	if (inet_pton(AF_INET, addr, &server.sin_addr) != 1) {
		fprintf(stderr, "not an IPv4 address: %s\n", addr);
		exit(2);
	}
}

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	struct timeval patience = { .tv_sec = PATIENCE };
	no_delay(fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (void *)&server, sizeof server))
		fail("connect");
	return fd;
}

// Closes with a reset, so that no port is left waiting.
static void drop(int fd)
{
	struct linger now = { .l_onoff = 1 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
	close(fd);
}

// One request and its whole answer, left in buf; -1 when the connection ended.
static ssize_t ask(int fd, char *buf, size_t size)
{
	size_t have = 0;

	errno = 0;
	if (write(fd, query, sizeof query - 1) != sizeof query - 1)
		return -1;
	for (;;) {
		ssize_t n = read(fd, buf + have, size - 1 - have);
		if (n <= 0)
			return -1;
		have += n;
		buf[have] = 0;
		if (response_length(buf, have))
			return have;
	}
}

static void ask_ok(int fd)
{
	char buf[4096];

	if (ask(fd, buf, sizeof buf) < 0)
		fail("request");
	if (!is_ok(buf)) {
		fprintf(stderr, "unexpected answer: %.80s\n", buf);
		exit(1);
	}
}

static void one_connect(void)
{
	uint64_t start = now_ns();
	int fd = dial();
	uint64_t connected = now_ns();

	ask_ok(fd);
	add(&answers, now_ns() - start);
	add(&connects, connected - start);
	drop(fd);
}

static void one_request(int fd)
{
	uint64_t start = now_ns();

	ask_ok(fd);
	add(&answers, now_ns() - start);
}

// Waits for the caller's sign, and forgets what the warm-up measured.
static void wait_for_go(void)
{
	char line[16];

	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		exit(0);
	connects.n = answers.n = 0;
}

static void report(uint64_t start)
{
	double seconds = (now_ns() - start) / 1e9;
	char line[16];

	// Printed before sorting: the caller reads CPU counters at this line.
	puts("done");
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		exit(0);
	size_t n = answers.n;
	printf("{\"n\":%zu,\"seconds\":%.6f,\"connectP50\":%.2f,\"connectP99\":%.2f,\"p50\":%.2f,\"p99\":%.2f}\n",
	       n, seconds, percentile(&connects, .5), percentile(&connects, .99),
	       percentile(&answers, .5), percentile(&answers, .99));
}

static void run_connect(uint64_t ns)
{
	for (int i = 0; i < 200; i++)
		one_connect();
	wait_for_go();
	uint64_t start = now_ns();
	while (now_ns() - start < ns)
		one_connect();
	report(start);
}

static void run_request(uint64_t ns)
{
	int fd = dial();

	for (int i = 0; i < 500; i++)
		one_request(fd);
	wait_for_go();
	uint64_t start = now_ns();
	while (now_ns() - start < ns)
		one_request(fd);
	report(start);
}

struct conn {
	int fd;
	size_t have;
	uint64_t asked;
	char buf[4096];
};

static void ask_again(struct conn *c)
{
	c->have = 0;
	c->asked = now_ns();
	if (write(c->fd, query, sizeof query - 1) != sizeof query - 1)
		fail("request");
}

// Takes what has arrived, and asks again when the answer is complete.
static void take(struct conn *c)
{
	ssize_t n = read(c->fd, c->buf + c->have, sizeof c->buf - 1 - c->have);

	if (n <= 0)
		fail("answer");
	c->have += n;
	c->buf[c->have] = 0;
	if (!response_length(c->buf, c->have))
		return;
	if (!is_ok(c->buf)) {
		fprintf(stderr, "unexpected answer: %.80s\n", c->buf);
		exit(1);
	}
	add(&answers, now_ns() - c->asked);
	ask_again(c);
}

static void pump(int epoll, uint64_t until)
{
	struct epoll_event evs[MAX_CONNS];

	while (now_ns() < until) {
		int n = epoll_wait(epoll, evs, MAX_CONNS, 1000);
		for (int i = 0; i < n; i++)
			take(evs[i].data.ptr);
	}
}

static void run_rate(uint64_t ns, int conns)
{
	static struct conn all[MAX_CONNS];
	int epoll = epoll_create1(0);

	for (int i = 0; i < conns && i < MAX_CONNS; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.ptr = &all[i] };
		all[i].fd = dial();
		epoll_ctl(epoll, EPOLL_CTL_ADD, all[i].fd, &ev);
		ask_again(&all[i]);
	}
	pump(epoll, now_ns() + 100000000);
	wait_for_go();
	uint64_t start = now_ns();
	pump(epoll, start + ns);
	report(start);
}

// Reads lines "ADDR PORT NEEDLE INTERVAL_US" from stdin. For each it connects,
// prints "watching" after a first answer, and asks once per interval until an
// answer has a line that ends in NEEDLE; then prints {"at":CLOCK_MONOTONIC ns,"polls":N,
// "failures":N}, where failures counts answers other than 200 and lost
// connections.
static void watch(void)
{
	char line[256], addr[64], port[16], needle[128], buf[4096];
	unsigned interval;

	while (fgets(line, sizeof line, stdin)) {
		unsigned polls = 0, failures = 0;
		if (sscanf(line, "%63s %15s %125s %u", addr, port, needle, &interval) != 4)
			exit(2);
		strcat(needle, "\r\n");
		set_server(addr, port);
		int fd = dial();
		if (ask(fd, buf, sizeof buf) < 0)
			fail("request");
		puts("watching");
		fflush(stdout);
		uint64_t start = now_ns();
		for (;;) {
			if (now_ns() - start > LONG_PATIENCE * 1000000000ull) {
				fprintf(stderr, "%s:%s doesn't answer %s\n", addr, port, needle);
				exit(1);
			}
			if (ask(fd, buf, sizeof buf) < 0) {
				failures++;
				close(fd);
				fd = dial();
			} else if (strstr(buf, needle)) {
				break;
			} else if (!is_ok(buf)) {
				failures++;
			}
			polls++;
			usleep(interval);
		}
		printf("{\"at\":%llu,\"polls\":%u,\"failures\":%u}\n", (unsigned long long)now_ns(), polls, failures);
		fflush(stdout);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "watch")) {
		watch();
		return 0;
	}
	if (argc < 5)
		return 2;
	set_server(argv[2], argv[3]);
	uint64_t ns = strtoull(argv[4], NULL, 10) * 1000000;
	if (!strcmp(argv[1], "connect"))
		run_connect(ns);
	else if (!strcmp(argv[1], "request"))
		run_request(ns);
	else if (!strcmp(argv[1], "rate") && argc == 6)
		run_rate(ns, atoi(argv[5]));
	else
		return 2;
	return 0;
}
