#include "daemon/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/banned.h"

bool fm_address_is_ip(const struct sockaddr *address)
{
	return address && (address->sa_family == AF_INET || address->sa_family == AF_INET6);
}

bool fm_address_is_local(const struct sockaddr *address)
{
	if (!fm_address_is_ip(address))
		return true;
	if (address->sa_family == AF_INET)
		return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
	return IN6_IS_ADDR_LOOPBACK(v6) || (IN6_IS_ADDR_V4MAPPED(v6) && v6->s6_addr[12] == IN_LOOPBACKNET);
}

void fm_address_name(const struct sockaddr *address, uint8_t ret_name[FM_ADDRESS_NAME_BYTES])
{
	memset(ret_name, 0, FM_ADDRESS_NAME_BYTES);
	if (!fm_address_is_ip(address))
		return;
	if (address->sa_family == AF_INET) {
		memset(ret_name + 10, 0xff, 2);
		memcpy(ret_name + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
	} else {
		const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
		memcpy(ret_name, v6, IN6_IS_ADDR_V4MAPPED(v6) || IN6_IS_ADDR_LOOPBACK(v6) ? 16 : 8);
	}
}

void fm_address_format(const struct sockaddr *address, char ret_text[FM_ADDRESS_TEXT])
{
	snprintf(ret_text, FM_ADDRESS_TEXT, "unix");
	if (!fm_address_is_ip(address))
		return;
	inet_ntop(address->sa_family,
	        address->sa_family == AF_INET
	                ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
	                : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr,
	        ret_text, FM_ADDRESS_TEXT);
}
