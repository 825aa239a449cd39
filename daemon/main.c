/* facematchd: arguments, signals, and the order of starting and stopping. */
#include "daemon/app.h"
#include "daemon/config.h"
#include "daemon/log.h"
#include "daemon/reload.h"
#include "daemon/server.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/cpu/cpu.h"

#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#include "lib/base/banned.h"

#define EXIT_CONFIG 78 /* sysexits.h EX_CONFIG: systemd shows it as such */

FM_DEFINE_CLEANUP(struct fm_app *, fm_app_free);
FM_DEFINE_CLEANUP(struct fm_server *, fm_server_free);

static const char usage[] =
        "usage: facematchd [OPTION]...\n"
        "Finds, compares and recognises faces in photos sent over HTTP.\n"
        "\n"
        "  -c, --config FILE        read settings from FILE (default " FM_CONFIG_DEFAULT_FILE ",\n"
        "                           where it exists)\n"
        "  -l, --listen ADDR:PORT   serve there (default 127.0.0.1:8660; port 0: any free port),\n"
        "                           or unix:/PATH; several with commas\n"
        "  -g, --gallery FILE       people and faces (default /var/lib/facematchd/gallery.db)\n"
        "  -m, --models DIR         networks, and their manifests where it holds any\n"
        "      --log-level LEVEL    error, warning, info or debug\n"
        "      --port-file FILE     write the port's number there once ready\n"
        "      --check-config       check the settings and exit\n"
        "  -h, --help               this text\n"
        "  -V, --version            the version\n"
        "\n"
        "Options win over the file. See facematchd(8) and facematchd.conf(5).\n";

enum { OPTION_LOG_LEVEL = 256, OPTION_PORT_FILE, OPTION_CHECK_CONFIG };

static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"listen", required_argument, NULL, 'l'},
        {"gallery", required_argument, NULL, 'g'},
        {"models", required_argument, NULL, 'm'},
        {"log-level", required_argument, NULL, OPTION_LOG_LEVEL},
        {"port-file", required_argument, NULL, OPTION_PORT_FILE},
        {"check-config", no_argument, NULL, OPTION_CHECK_CONFIG},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
};

struct arguments {
	const char *config_file, *listen, *gallery, *models, *log_level, *port_file;
	bool check_config;
};

/* Returns -1 to go on, or the exit status. */
static int parse_arguments(int argc, char **argv, struct arguments *arguments)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:l:g:m:hV", long_options, NULL)) != -1) {
		switch (option) {
		case 'c': arguments->config_file = optarg; break;
		case 'l': arguments->listen = optarg; break;
		case 'g': arguments->gallery = optarg; break;
		case 'm': arguments->models = optarg; break;
		case OPTION_LOG_LEVEL: arguments->log_level = optarg; break;
		case OPTION_PORT_FILE: arguments->port_file = optarg; break;
		case OPTION_CHECK_CONFIG: arguments->check_config = true; break;
		case 'h': fputs(usage, stdout); return EXIT_SUCCESS;
		case 'V': puts("facematchd " FM_VERSION); return EXIT_SUCCESS;
		default: fputs("Try facematchd --help.\n", stderr); return EXIT_CONFIG;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "facematchd: unexpected argument \"%s\"\nTry facematchd --help.\n",
		        argv[optind]);
		return EXIT_CONFIG;
	}
	return -1;
}

/* Defaults, then the file, then the command line. */
static enum fm_status configure(struct fm_config *config, const void *context, struct fm_error *err)
{
	const struct arguments *arguments = context;
	const struct {
		const char *section, *key, *value;
	} given[] = {
	        {"server", "listen", arguments->listen},
	        {"gallery", "path", arguments->gallery},
	        {"models", "dir", arguments->models},
	        {"log", "level", arguments->log_level},
	};
	enum fm_status status = fm_config_init(config, err);

	if (!status && arguments->config_file) {
		status = fm_config_read_file(config, arguments->config_file, err);
	} else if (!status) {
		status = fm_config_read_file(config, FM_CONFIG_DEFAULT_FILE, err);
		if (status == FM_E_NOT_FOUND)
			status = FM_OK;
	}
	for (size_t i = 0; !status && i < sizeof(given) / sizeof(given[0]); i++) {
		if (given[i].value)
			status = fm_config_set(config, given[i].section, given[i].key, given[i].value, err);
	}
	if (!status)
		status = fm_config_check(config, err);
	if (!status)
		status = fm_isa_check_environment(err);
	return status;
}

/* sd_notify(3): with MONOTONIC_USEC systemd knows that READY=1 answers this reload. */
static void announce_reload(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64,
	        (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
}

static void wait_for_the_end(struct fm_app *app, const struct arguments *arguments, const sigset_t *signals)
{
	for (;;) {
		int signal = sigwaitinfo(signals, NULL);
		if (signal == SIGTERM || signal == SIGINT) {
			fm_log(FM_LOG_INFO, "stopping", "signal", strsignal(signal), NULL);
			return;
		}
		if (signal == SIGHUP) {
			announce_reload();
			fm_reload(app, configure, arguments);
			sd_notify(0, "READY=1");
		}
	}
}

static enum fm_status write_port(const char *path, uint16_t port, struct fm_error *err)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u\n", port);

	return fm_file_write(path, text, (size_t)length, 0644, err);
}

/* Serves until a signal ends it. */
static enum fm_status serve(struct fm_snapshot *first, const struct arguments *arguments,
        const sigset_t *signals, struct fm_error *err)
{
	fm_cleanup(fm_app_freep) struct fm_app *app = NULL;
	fm_cleanup(fm_server_freep) struct fm_server *server = NULL;
	struct timespec begin, end;
	char text[2048], workers[16];

	clock_gettime(CLOCK_MONOTONIC, &begin);
	enum fm_status status = fm_app_create(first, &app, err);
	if (!status)
		status = fm_server_start(app, &server, err);
	if (!status) {
		snprintf(text, sizeof(text), "listening on %s", fm_server_address(server));
		fm_log(FM_LOG_INFO, text, NULL);
		/* Until the daemon is ready there is nothing to finish: signals end it as they end any
		 * process, but for SIGHUP, which waits until there is something to reload. */
		sigset_t deadly = *signals;
		sigdelset(&deadly, SIGHUP);
		pthread_sigmask(SIG_UNBLOCK, &deadly, NULL);
		status = fm_app_load(app, fm_server_work, fm_server_refuse, err);
		pthread_sigmask(SIG_BLOCK, &deadly, NULL);
	}
	if (!status && arguments->port_file)
		status = write_port(arguments->port_file, fm_server_port(server), err);
	if (!status) {
		clock_gettime(CLOCK_MONOTONIC, &end);
		snprintf(text, sizeof(text), "%.0f",
		        (double)(end.tv_sec - begin.tv_sec) * 1e3 +
		                (double)(end.tv_nsec - begin.tv_nsec) * 1e-6);
		snprintf(workers, sizeof(workers), "%zu", app->worker_count);
		fm_log(FM_LOG_INFO, "ready", "ms", text, "workers", workers, "isa",
		        fm_isa_name(fm_isa_best()), "model", fm_serving_model(app->servings.current), NULL);
		sd_notifyf(0, "READY=1\nSTATUS=Serving %s", fm_server_address(server));
		wait_for_the_end(app, arguments, signals);
		sd_notify(0, "STOPPING=1\nSTATUS=Finishing requests");
	}
	if (server)
		fm_server_drain(server);
	if (app)
		fm_app_stop(app);
	return status;
}

/*
 * Photos come and go in blocks of megabytes. One heap for all threads: glibc's one for each would keep what
 * its largest photo took, and malloc_trim() does not give back the end of any but the main one. What is freed
 * stays in it until the keeper gives it back, once a minute, as to take it from the system for each photo
 * costs more than the photo's JSON and SQL. Large blocks, which few photos need, are given back at once.
 */
static void set_up_heap(void)
{
	mallopt(M_ARENA_MAX, 1);
	mallopt(M_MMAP_THRESHOLD, 4 << 20);
	mallopt(M_TRIM_THRESHOLD, INT_MAX);
}

int main(int argc, char **argv)
{
	fm_cleanup(fm_config_done) struct fm_config config = {0};
	struct arguments arguments = {0};
	struct fm_snapshot *first;
	struct fm_error err = {0};
	sigset_t signals;
	int done = parse_arguments(argc, argv, &arguments);

	if (done >= 0)
		return done;
	set_up_heap();
	if (configure(&config, &arguments, &err)) {
		fm_log(FM_LOG_ERROR, err.message, NULL);
		return EXIT_CONFIG;
	}
	if (fm_snapshot_create(&config, &first, &err)) {
		fm_log(FM_LOG_ERROR, err.message, NULL);
		return EXIT_CONFIG;
	}
	if (arguments.check_config) {
		fm_snapshot_put(first);
		puts("The configuration is good.");
		return EXIT_SUCCESS;
	}
	fm_reload_log(&first->config);

	/* Every thread inherits the mask: signals wait until the main thread asks for them. */
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);

	if (serve(first, &arguments, &signals, &err)) {
		fm_log(FM_LOG_ERROR, err.message, NULL);
		return EXIT_FAILURE;
	}
	fm_log(FM_LOG_INFO, "stopped", NULL);
	return EXIT_SUCCESS;
}
