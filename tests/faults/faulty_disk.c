/* A disk that fails when it is told to: loaded before the C library, it lets writes of regular files fail as the file
 * named by PICKET_FAULTY_DISK says. "EROFS" is a file system that became read-only, "EIO" a disk that writes nothing,
 * "SYNC" one that takes writes and cannot make them durable; an empty or missing file is a healthy disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int fault(void) {
    const char *path = getenv("PICKET_FAULTY_DISK");
    char text[16] = {0};
    if (path == NULL) return 0;
    int file = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    long length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    if (length <= 0) return 0;
    return strcmp(text, "EROFS") == 0 ? EROFS : strcmp(text, "EIO") == 0 ? EIO : -1;
}

static int is_file(int file) {
    struct stat status;
    return fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL_WRITE(file) \
    do { \
        int met = fault(); \
        if (met > 0 && is_file(file)) { errno = met; return -1; } \
    } while (0)
#define FAIL_SYNC(file) \
    do { \
        int met = fault(); \
        if ((met == EIO || met == -1) && is_file(file)) { errno = EIO; return -1; } \
    } while (0)

ssize_t write(int file, const void *bytes, size_t length) {
    FAIL_WRITE(file);
    return NEXT(write)(file, bytes, length);
}
ssize_t pwrite(int file, const void *bytes, size_t length, off_t at) {
    FAIL_WRITE(file);
    return NEXT(pwrite)(file, bytes, length, at);
}
ssize_t pwrite64(int file, const void *bytes, size_t length, off64_t at) {
    FAIL_WRITE(file);
    return NEXT(pwrite64)(file, bytes, length, at);
}
int ftruncate(int file, off_t length) {
    FAIL_WRITE(file);
    return NEXT(ftruncate)(file, length);
}
int ftruncate64(int file, off64_t length) {
    FAIL_WRITE(file);
    return NEXT(ftruncate64)(file, length);
}
int fsync(int file) {
    FAIL_SYNC(file);
    return NEXT(fsync)(file);
}
int fdatasync(int file) {
    FAIL_SYNC(file);
    return NEXT(fdatasync)(file);
}

static int refuses(int flags) {
    if (fault() == EROFS && (flags & (O_WRONLY | O_RDWR | O_CREAT)) != 0) {
        errno = EROFS;
        return 1;
    }
    return 0;
}
#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return refuses(flags) ? -1 : NEXT(open)(path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE(flags)
    return refuses(flags) ? -1 : NEXT(open64)(path, flags, mode);
}
