/* Functions that cannot check a size, or that are not thread-safe: using one is a compile error. */
#ifndef FM_BASE_BANNED_H
#define FM_BASE_BANNED_H

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atof localtime       \
        gmtime ctime asctime

#endif
