//go:build ignore
// server PORT: the application of the benchmarks. One thread, epoll, keeps
// connections open and answers every request with the same 64 bytes.
#include "http.h"
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>

#define MAX_FDS (1 << 16)

static const char answer[] = "HTTP/1.1 200 OK\r\ncontent-length: 64\r\n\r\n"
	"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde\n";

// How much of the blank line that ends a request each connection has seen.
static unsigned char seen[MAX_FDS];

static int listen_on(int port)
{
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1, zero = 0;
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(port) };

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
	if (bind(fd, (void *)&any, sizeof any) || listen(fd, 4096)) {
		perror("listen");
		exit(1);
	}
	return fd;
}

static void watch(int epoll, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev);
}

static void accept_all(int epoll, int listener)
{
	int fd;
	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
		if (fd >= MAX_FDS) {
			close(fd);
			continue;
		}
		no_delay(fd);
		seen[fd] = 0;
		watch(epoll, fd);
	}
}

static void serve(int fd)
{
	static char buf[1 << 16];
	ssize_t n = read(fd, buf, sizeof buf);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		close(fd);
		return;
	}
	for (ssize_t i = 0; i < n; i++) {
		seen[fd] = buf[i] == "\r\n\r\n"[seen[fd]] ? seen[fd] + 1 : buf[i] == '\r';
		if (seen[fd] < 4)
			continue;
		seen[fd] = 0;
		if (write(fd, answer, sizeof answer - 1) != sizeof answer - 1) {
			close(fd);
			return;
		}
	}
}

int main(int argc, char **argv)
{
	struct epoll_event evs[256];
	int listener, epoll = epoll_create1(0);

	if (argc != 2)
		return 2;
	signal(SIGPIPE, SIG_IGN);
	listener = listen_on(atoi(argv[1]));
	watch(epoll, listener);
	puts("ready");
	fflush(stdout);
	for (;;) {
		int n = epoll_wait(epoll, evs, 256, -1);
		for (int i = 0; i < n; i++) {
			if (evs[i].data.fd == listener)
				accept_all(epoll, listener);
			else
				serve(evs[i].data.fd);
		}
	}
}
