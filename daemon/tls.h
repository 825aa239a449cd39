/*
 * TLS: the certificate that a configuration names, and handing the current one to each handshake, so that a
 * reload reaches new connections and leaves the old ones be. The only file that knows GnuTLS is tls.c; the
 * protocol itself is libmicrohttpd's. Threads: safe; a certificate is immutable.
 */
#ifndef FM_DAEMON_TLS_H
#define FM_DAEMON_TLS_H

#include "lib/base/status.h"

struct fm_certificate;
struct fm_snapshot_slot;

/*
 * A chain in PEM (the server's certificate first) and its private key in PEM without a password. The key's
 * file must not be readable by everybody, nor writable by anybody but its owner. FM_E_INVALID: malformed, or
 * the key is not that of the certificate. A certificate that has expired is taken and said in the log.
 */
enum fm_status fm_certificate_load(const char *chain_path, const char *key_path,
        struct fm_certificate **ret_certificate, struct fm_error *err);
void fm_certificate_free(struct fm_certificate *certificate);

/* TLS 1.2 and later, ciphers with forward secrecy and authentication. */
extern const char fm_tls_priorities[];

/* From where handshakes take the certificate; once, before the first. */
void fm_tls_serve_from(struct fm_snapshot_slot *snapshots);

/* A gnutls_certificate_retrieve_function3. */
typedef void (*fm_tls_callback)(void);
fm_tls_callback fm_tls_retrieve_function(void);

#endif
