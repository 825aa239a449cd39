/* Functions that cannot check a size, or that are not thread-safe: using one is a compile error. */
#ifndef FM_BASE_BANNED_H
#define FM_BASE_BANNED_H

/* clang's fortified stdio.h defines these as macros, and warns when a macro is poisoned. */
#undef sprintf
#undef vsprintf

#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf gets strtok atoi atol atof localtime       \
        gmtime ctime asctime

#endif
