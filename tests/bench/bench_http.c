/*
 * Load on a running facematchd, by the clock: requests begin when they are due, whether or not the ones
 * before are done (an open loop), since clients out there do not wait for each other either. Latency counts
 * from the moment a request was due, so that a stalled server is not excused by a generator that stalls with
 * it.
 *
 *   bench_http --port P --photo FILE --rate R [--seconds S] [--connections C] [--path /v1/identify] [--key
 * KEY] bench_http --port P --photo FILE --closed C [--seconds S]     C clients that each wait for their reply
 *
 * Prints one JSON object: requests due, served (200), refused (503), errors, served a second, and the latency
 * of the served and of the refused in milliseconds. Arrivals are Poisson (exponential gaps, a fixed seed).
 */
#include "lib/base/file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/banned.h"

#define PHOTO_MAX_BYTES (64 << 20)
#define REPLY_MAX_BYTES (1 << 20)
#define CONNECTIONS_MAX 4096

struct connection {
	int fd; /* -1: to be opened */
	bool busy;
	double due_s;
	size_t sent, received, expected; /* expected: of the reply, 0 until its head is there */
	int status;
	char *reply;
};

struct latencies {
	size_t count, capacity;
	double *ms;
};

static struct {
	int port;
	const char *photo, *path, *key;
	double rate, seconds;
	size_t connections, closed;
} options = {.path = "/v1/identify", .seconds = 10, .connections = 256};

static char *request;
static size_t request_bytes;
static struct connection *connections;
static int epoll_fd;
static struct latencies served, refused;
static size_t due_count, errors;

static double now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void die(const char *what)
{
	fprintf(stderr, "bench_http: %s: %s\n", what, strerror(errno));
	exit(EXIT_FAILURE);
}

static void add(struct latencies *latencies, double ms)
{
	if (latencies->count == latencies->capacity) {
		latencies->capacity = latencies->capacity * 2 + 1024;
		latencies->ms = realloc(latencies->ms, latencies->capacity * sizeof(double));
		if (!latencies->ms)
			die("memory");
	}
	latencies->ms[latencies->count++] = ms;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double percentile(struct latencies *latencies, double p)
{
	if (!latencies->count)
		return 0;
	qsort(latencies->ms, latencies->count, sizeof(double), compare);
	return latencies->ms[(size_t)(p * (double)(latencies->count - 1))];
}

/* ---- connections ---- */

static void open_connection(struct connection *connection)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
	        .sin_port = htons((uint16_t)options.port),
	        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int on = 1;

	connection->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (connection->fd < 0 || connect(connection->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("connect");
	setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) < 0)
		die("epoll_ctl");
}

static void close_connection(struct connection *connection)
{
	if (connection->fd >= 0)
		close(connection->fd);
	connection->fd = -1;
	errors += connection->busy;
	connection->busy = false;
}

static void watch(struct connection *connection, uint32_t events)
{
	struct epoll_event event = {.events = events, .data.ptr = connection};

	epoll_ctl(epoll_fd, EPOLL_CTL_MOD, connection->fd, &event);
}

static void send_more(struct connection *connection)
{
	while (connection->sent < request_bytes) {
		ssize_t n = send(connection->fd, request + connection->sent, request_bytes - connection->sent,
		        MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			watch(connection, EPOLLIN | EPOLLOUT);
			return;
		}
		if (n < 0) {
			close_connection(connection);
			return;
		}
		connection->sent += (size_t)n;
	}
	watch(connection, EPOLLIN);
}

static void begin(struct connection *connection, double due_s)
{
	if (connection->fd < 0)
		open_connection(connection);
	connection->busy = true;
	connection->due_s = due_s;
	connection->sent = connection->received = connection->expected = 0;
	send_more(connection);
}

static void read_head(struct connection *connection)
{
	static const char field[] = "Content-Length: ";

	connection->reply[connection->received] = '\0';
	const char *end = strstr(connection->reply, "\r\n\r\n");
	if (!end)
		return;
	const char *length = strcasestr(connection->reply, field);
	connection->status = (int)strtol(connection->reply + 9, NULL, 10);
	connection->expected = (size_t)(end + 4 - connection->reply) +
	                       (length ? strtoul(length + sizeof(field) - 1, NULL, 10) : 0);
}

/* True: a reply is complete. */
static bool receive(struct connection *connection)
{
	ssize_t n = recv(connection->fd, connection->reply + connection->received,
	        REPLY_MAX_BYTES - connection->received - 1, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return false;
	if (n <= 0) {
		close_connection(connection);
		return false;
	}
	connection->received += (size_t)n;
	if (!connection->expected)
		read_head(connection);
	if (!connection->expected || connection->received < connection->expected)
		return false;
	double ms = (now_s() - connection->due_s) * 1e3;
	if (connection->status == 200)
		add(&served, ms);
	else if (connection->status == 503)
		add(&refused, ms);
	else
		errors++;
	connection->busy = false;
	if (connection->sent < request_bytes) /* refused before it was all sent */
		close_connection(connection);
	return true;
}

/* ---- the loop ---- */

static double gap_s(void)
{
	static uint64_t state = 0x9e3779b97f4a7c15U;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return -log1p(-(double)(state >> 11) * 0x1p-53) / options.rate;
}

static struct connection *idle(void)
{
	static size_t next;

	for (size_t i = 0; i < options.connections; i++) {
		struct connection *connection = &connections[(next + i) % options.connections];
		if (!connection->busy) {
			next = (next + i + 1) % options.connections;
			return connection;
		}
	}
	return NULL;
}

static size_t busy_count(void)
{
	size_t count = 0;

	for (size_t i = 0; i < options.connections; i++)
		count += connections[i].busy;
	return count;
}

/* Returns the seconds from the first request to the last reply that counts. */
static double run(void)
{
	double start = now_s(), end = start + options.seconds, due = start;
	struct epoll_event events[256];

	for (size_t i = 0; i < options.closed; i++, due_count++)
		begin(&connections[i], now_s());
	while (now_s() < end || (busy_count() && now_s() < end + 10)) {
		while (!options.closed && due <= now_s() && due < end) {
			struct connection *connection = idle();
			if (!connection)
				break; /* it stays due */
			begin(connection, due);
			due_count++;
			due += gap_s();
		}
		double wait_s = options.closed || due >= end ? 0.05 : due - now_s();
		int count = epoll_wait(epoll_fd, events, 256, wait_s > 0 ? (int)ceil(wait_s * 1e3) : 0);
		for (int i = 0; i < count; i++) {
			struct connection *connection = events[i].data.ptr;
			if (connection->busy && (events[i].events & EPOLLOUT))
				send_more(connection);
			if (connection->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT))
				receive(connection);
			if (options.closed && !connection->busy && now_s() < end) {
				begin(connection, now_s());
				due_count++;
			}
		}
	}
	return now_s() < end + 10 ? options.seconds : now_s() - start;
}

static void make_request(void)
{
	char head[1024], *photo;
	size_t length;

	if (fm_file_read(options.photo, PHOTO_MAX_BYTES, &photo, &length, NULL))
		die(options.photo);
	int used = snprintf(head, sizeof(head),
	        "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/jpeg\r\n%s%s%sContent-Length: "
	        "%zu\r\n\r\n",
	        options.path, options.key ? "X-Api-Key: " : "", options.key ? options.key : "",
	        options.key ? "\r\n" : "", length);
	request_bytes = (size_t)used + length;
	request = malloc(request_bytes);
	if (!request)
		die("memory");
	memcpy(request, head, (size_t)used);
	memcpy(request + used, photo, length);
	free(photo);
}

static bool parse(int argc, char **argv)
{
	static const struct option names[] = {{"port", 1, NULL, 'p'}, {"photo", 1, NULL, 'f'},
	        {"rate", 1, NULL, 'r'}, {"seconds", 1, NULL, 's'}, {"connections", 1, NULL, 'c'},
	        {"closed", 1, NULL, 'l'}, {"path", 1, NULL, 'u'}, {"key", 1, NULL, 'k'}, {NULL, 0, NULL, 0}};

	for (int option; (option = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		switch (option) {
		case 'p': options.port = (int)strtol(optarg, NULL, 10); break;
		case 'f': options.photo = optarg; break;
		case 'r': options.rate = strtod(optarg, NULL); break;
		case 's': options.seconds = strtod(optarg, NULL); break;
		case 'c': options.connections = strtoul(optarg, NULL, 10); break;
		case 'l': options.closed = strtoul(optarg, NULL, 10); break;
		case 'u': options.path = optarg; break;
		case 'k': options.key = optarg; break;
		default: return false;
		}
	}
	if (options.closed)
		options.connections = options.closed;
	return options.port > 0 && options.photo && (options.rate > 0 || options.closed) &&
	       options.seconds > 0 && options.connections > 0 && options.connections <= CONNECTIONS_MAX;
}

int main(int argc, char **argv)
{
	if (!parse(argc, argv)) {
		fprintf(stderr,
		        "usage: bench_http --port P --photo FILE (--rate R | --closed C) [--seconds S] "
		        "[--connections C] [--path PATH] [--key KEY]\n");
		return EXIT_FAILURE;
	}
	make_request();
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	connections = calloc(options.connections, sizeof(*connections));
	if (epoll_fd < 0 || !connections)
		die("start");
	for (size_t i = 0; i < options.connections; i++) {
		connections[i].fd = -1;
		connections[i].reply = malloc(REPLY_MAX_BYTES);
		if (!connections[i].reply)
			die("memory");
	}
	double seconds = run();
	errors += busy_count();
	printf("{\"requests\": %zu, \"served\": %zu, \"refused\": %zu, \"errors\": %zu, \"served_per_s\": "
	       "%.1f, "
	       "\"served_ms\": {\"p50\": %.2f, \"p95\": %.2f, \"p99\": %.2f, \"max\": %.2f}, "
	       "\"refused_ms\": {\"p50\": %.2f, \"p99\": %.2f}}\n",
	        due_count, served.count, refused.count, errors, (double)served.count / seconds,
	        percentile(&served, 0.5), percentile(&served, 0.95), percentile(&served, 0.99),
	        percentile(&served, 1), percentile(&refused, 0.5), percentile(&refused, 0.99));
	return EXIT_SUCCESS;
}
