#include "daemon/tls.h"

#include "daemon/log.h"
#include "daemon/snapshot.h"
#include "lib/base/cleanup.h"
#include "lib/base/file.h"
#include "lib/base/mem.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/banned.h"

#define PEM_MAX_BYTES (256 * 1024)
#define CHAIN_MAX     8

const char fm_tls_priorities[] =
        "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:"
        "+CHACHA20-POLY1305:%SERVER_PRECEDENCE";

/* Encoded: each handshake gets objects of its own, since GnuTLS's are for one thread at a time. */
struct fm_certificate {
	unsigned count;
	gnutls_datum_t chain[CHAIN_MAX]; /* DER, GnuTLS's memory */
	gnutls_datum_t key;              /* PEM, ours */
};

FM_DEFINE_CLEANUP(struct fm_certificate *, fm_certificate_free);

void fm_certificate_free(struct fm_certificate *certificate)
{
	if (!certificate)
		return;
	for (unsigned i = 0; i < certificate->count; i++)
		gnutls_free(certificate->chain[i].data);
	if (certificate->key.data)
		fm_wipe(certificate->key.data, certificate->key.size);
	free(certificate->key.data);
	free(certificate);
}

/* ---- loading ---- */

static enum fm_status check_access(const char *path, struct fm_error *err)
{
	struct stat info;

	if (stat(path, &info) < 0)
		return fm_fail_errno(err, errno, "cannot open the private key in %s", path);
	if (info.st_mode & (S_IRWXO | S_IWGRP))
		return fm_fail(err, FM_E_INVALID,
		        "%s, a private key, can be read or changed by others (mode %04o): chmod 640 %s", path,
		        (unsigned)info.st_mode & 07777, path);
	return FM_OK;
}

static enum fm_status read_chain(struct fm_certificate *certificate, const char *path, unsigned char *ret_id,
        size_t *ret_id_bytes, struct fm_error *err)
{
	fm_autofree char *text = NULL;
	size_t length;
	gnutls_x509_crt_t *list = NULL;
	unsigned count = 0;
	enum fm_status status = fm_file_read(path, PEM_MAX_BYTES, &text, &length, err);

	if (status)
		return status;
	const gnutls_datum_t pem = {.data = (unsigned char *)text, .size = (unsigned)length};
	int code = gnutls_x509_crt_list_import2(&list, &count, &pem, GNUTLS_X509_FMT_PEM, 0);
	if (code < 0)
		return fm_fail(
		        err, FM_E_INVALID, "%s holds no certificate in PEM: %s", path, gnutls_strerror(code));
	if (count == 0 || count > CHAIN_MAX)
		status = fm_fail(err, FM_E_INVALID, "%s holds %u certificates: 1 to %d are possible", path,
		        count, CHAIN_MAX);
	for (unsigned i = 0; !status && i < count; i++) {
		code = gnutls_x509_crt_export2(list[i], GNUTLS_X509_FMT_DER, &certificate->chain[i]);
		if (code < 0)
			status = fm_fail(err, FM_E_NOMEM, "%s: %s", path, gnutls_strerror(code));
		else
			certificate->count++;
	}
	if (!status) {
		gnutls_x509_crt_get_key_id(list[0], GNUTLS_KEYID_USE_SHA256, ret_id, ret_id_bytes);
		if (gnutls_x509_crt_get_expiration_time(list[0]) < time(NULL))
			fm_log(FM_LOG_WARNING, "the certificate has expired", "file", path, NULL);
	}
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crt_deinit(list[i]);
	gnutls_free(list);
	return status;
}

static enum fm_status read_key(struct fm_certificate *certificate, const char *path, unsigned char *ret_id,
        size_t *ret_id_bytes, struct fm_error *err)
{
	fm_autofree char *text = NULL;
	size_t length;
	gnutls_x509_privkey_t key;
	enum fm_status status = check_access(path, err);

	if (!status)
		status = fm_file_read(path, PEM_MAX_BYTES, &text, &length, err);
	if (status)
		return status;
	if (gnutls_x509_privkey_init(&key) < 0)
		return fm_fail(err, FM_E_NOMEM, "no memory for the private key");
	const gnutls_datum_t pem = {.data = (unsigned char *)text, .size = (unsigned)length};
	int code = gnutls_x509_privkey_import2(key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (code >= 0)
		gnutls_x509_privkey_get_key_id(key, GNUTLS_KEYID_USE_SHA256, ret_id, ret_id_bytes);
	else
		status = fm_fail(err, FM_E_INVALID, "%s holds no private key in PEM without a password: %s",
		        path, gnutls_strerror(code));
	gnutls_x509_privkey_deinit(key);
	if (status) {
		fm_wipe(text, length);
		return status;
	}
	certificate->key = pem;
	text = NULL;
	return FM_OK;
}

enum fm_status fm_certificate_load(const char *chain_path, const char *key_path,
        struct fm_certificate **ret_certificate, struct fm_error *err)
{
	fm_cleanup(fm_certificate_freep) struct fm_certificate *certificate =
	        fm_calloc(1, sizeof(*certificate));
	unsigned char chain_id[32], key_id[32];
	size_t chain_id_bytes = sizeof(chain_id), key_id_bytes = sizeof(key_id);

	if (!certificate)
		return fm_fail(err, FM_E_NOMEM, "no memory for the certificate");
	enum fm_status status = read_chain(certificate, chain_path, chain_id, &chain_id_bytes, err);
	if (!status)
		status = read_key(certificate, key_path, key_id, &key_id_bytes, err);
	if (status)
		return fm_fail_prefix(err, status, "[tls]");
	if (chain_id_bytes != key_id_bytes || memcmp(chain_id, key_id, key_id_bytes) != 0)
		return fm_fail(err, FM_E_INVALID, "[tls] the key in %s is not that of the certificate in %s",
		        key_path, chain_path);
	*ret_certificate = fm_steal(certificate);
	return FM_OK;
}

/* ---- serving ---- */

/* GnuTLS gives its callback no context of ours. */
static struct fm_snapshot_slot *source;

void fm_tls_serve_from(struct fm_snapshot_slot *snapshots)
{
	source = snapshots;
}

static int copy(
        const struct fm_certificate *certificate, gnutls_pcert_st **ret_chain, gnutls_privkey_t *ret_key)
{
	gnutls_pcert_st *chain = gnutls_calloc(certificate->count, sizeof(*chain));
	gnutls_privkey_t key = NULL;
	unsigned done = 0;
	int code = chain ? gnutls_privkey_init(&key) : GNUTLS_E_MEMORY_ERROR;

	if (code >= 0)
		code = gnutls_privkey_import_x509_raw(key, &certificate->key, GNUTLS_X509_FMT_PEM, NULL, 0);
	for (; code >= 0 && done < certificate->count; done++) {
		code = gnutls_pcert_import_x509_raw(
		        &chain[done], &certificate->chain[done], GNUTLS_X509_FMT_DER, 0);
		if (code < 0)
			break;
	}
	if (code >= 0) {
		*ret_chain = chain;
		*ret_key = key;
		return 0;
	}
	for (unsigned i = 0; i < done; i++)
		gnutls_pcert_deinit(&chain[i]);
	gnutls_free(chain);
	if (key)
		gnutls_privkey_deinit(key);
	return code;
}

static int retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
        gnutls_pcert_st **ret_chain, unsigned *ret_count, gnutls_ocsp_data_st **ret_ocsp,
        unsigned *ret_ocsp_count, gnutls_privkey_t *ret_key, unsigned *ret_flags)
{
	struct fm_snapshot *snapshot = fm_snapshot_get(source);
	int code = GNUTLS_E_NO_CERTIFICATE_FOUND;

	(void)session, (void)info;
	if (snapshot->certificate)
		code = copy(snapshot->certificate, ret_chain, ret_key);
	if (code >= 0) {
		*ret_count = snapshot->certificate->count;
		*ret_ocsp = NULL;
		*ret_ocsp_count = 0;
		*ret_flags = GNUTLS_CERT_RETR_DEINIT_ALL;
	}
	fm_snapshot_put(snapshot);
	return code;
}

fm_tls_callback fm_tls_retrieve_function(void)
{
	return (fm_tls_callback)retrieve;
}
