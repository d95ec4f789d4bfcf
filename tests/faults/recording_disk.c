/* Writes down what a program does to the files of one directory, so that a test can tell what a power cut would have left
 * of them: only what was synced is certain. Built by the tests and loaded with LD_PRELOAD.
 *
 * POWER_DIR is the directory, POWER_LOG the file that is appended to. A record is a letter, three numbers of eight bytes (those
 * of the machine) and as many bytes as the last number says:
 *
 *   C inode 0 length name       the file was made
 *   W inode offset length data  bytes are about to be written
 *   T inode size 0              it is about to be cut or stretched to this size
 *   B inode 0 0                 a sync begins
 *   S inode 0 0                 a sync has ended: all up to its beginning is on the disk
 *   R 0 0 length name NUL name  the first name was given up for the second
 *   U 0 0 length name           the name was removed
 *   D 0 0 0                     the directory was synced
 *
 * Names are without the directory. Shared memory (-shm) is no file that outlives a power cut.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 65536

enum { UNKNOWN, OF_OURS, DIRECTORY };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char dir[PATH_MAX];
static int log_fd = -1;
static unsigned char kinds[FILES];
static uint64_t inodes[FILES];

#define REAL(name) __typeof__(&name) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWER_DIR");
    const char *log = getenv("POWER_LOG");
    if (!path || !log || !realpath(path, dir)) return;
    log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(char letter, uint64_t one, uint64_t two, const void *bytes, uint64_t length) {
    char head[25];
    head[0] = letter;
    memcpy(head + 1, &one, 8);
    memcpy(head + 9, &two, 8);
    memcpy(head + 17, &length, 8);
    struct iovec parts[2] = {{head, sizeof head}, {(void *)bytes, length}};
    if (writev(log_fd, parts, length ? 2 : 1) != (ssize_t)(sizeof head + length)) abort();
}

/* The name within the directory, or NULL. */
static const char *name_of(const char *path, char *full) {
    char parent[PATH_MAX];
    if (log_fd < 0 || strlen(path) >= PATH_MAX) return NULL;
    const char *slash = strrchr(path, '/');
    if (slash) {
        memcpy(parent, path, slash - path);
        parent[slash - path] = 0;
        if (slash == path) strcpy(parent, "/");
    } else {
        strcpy(parent, ".");
    }
    if (!realpath(parent, full) || strcmp(full, dir)) return NULL;
    const char *name = slash ? slash + 1 : path;
    size_t length = strlen(name);
    if (length > 4 && !strcmp(name + length - 4, "-shm")) return NULL;
    return name;
}

static int opened(const char *path, int flags, int existed, int fd) {
    char full[PATH_MAX];
    struct stat st;
    if (fd < 0 || fd >= FILES || log_fd < 0 || fstat(fd, &st)) return fd;
    kinds[fd] = UNKNOWN;
    if (S_ISDIR(st.st_mode)) {
        if (realpath(path, full) && !strcmp(full, dir)) kinds[fd] = DIRECTORY;
        return fd;
    }
    const char *name = name_of(path, full);
    if (!name || !S_ISREG(st.st_mode) || (flags & O_TMPFILE) == O_TMPFILE) return fd;
    inodes[fd] = st.st_ino;
    kinds[fd] = OF_OURS;
    pthread_mutex_lock(&lock);
    if (!existed && (flags & O_CREAT)) record('C', st.st_ino, 0, name, strlen(name));
    if (existed && (flags & O_TRUNC)) record('T', st.st_ino, 0, NULL, 0);
    pthread_mutex_unlock(&lock);
    return fd;
}

#define OPEN(name)                                           \
    int name(const char *path, int flags, ...) {             \
        REAL(name);                                          \
        mode_t mode = 0;                                     \
        if (flags & (O_CREAT | O_TMPFILE)) {                 \
            va_list list;                                    \
            va_start(list, flags);                           \
            mode = va_arg(list, mode_t);                     \
            va_end(list);                                    \
        }                                                    \
        int existed = access(path, F_OK) == 0;               \
        return opened(path, flags, existed, real(path, flags, mode)); \
    }

OPEN(open)
OPEN(open64)

int close(int fd) {
    REAL(close);
    if (fd >= 0 && fd < FILES) kinds[fd] = UNKNOWN;
    return real(fd);
}

static int ours(int fd) {
    return fd >= 0 && fd < FILES && kinds[fd] == OF_OURS;
}

static void record_write(int fd, const void *bytes, size_t length, off_t offset) {
    pthread_mutex_lock(&lock);
    record('W', inodes[fd], offset, bytes, length);
    pthread_mutex_unlock(&lock);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    REAL(write);
    if (ours(fd)) record_write(fd, bytes, length, lseek(fd, 0, SEEK_CUR));
    return real(fd, bytes, length);
}

#define PWRITE(name, type)                                             \
    ssize_t name(int fd, const void *bytes, size_t length, type offset) { \
        REAL(name);                                                    \
        if (ours(fd)) record_write(fd, bytes, length, offset);         \
        return real(fd, bytes, length, offset);                        \
    }

PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define TRUNCATE(name, type)                                \
    int name(int fd, type size) {                           \
        REAL(name);                                         \
        if (ours(fd)) {                                     \
            pthread_mutex_lock(&lock);                      \
            record('T', inodes[fd], size, NULL, 0);         \
            pthread_mutex_unlock(&lock);                    \
        }                                                   \
        return real(fd, size);                              \
    }

TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

static int synced(int fd, int (*real)(int)) {
    int is_ours = ours(fd);
    int is_directory = fd >= 0 && fd < FILES && kinds[fd] == DIRECTORY;
    if (is_ours) {
        pthread_mutex_lock(&lock);
        record('B', inodes[fd], 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    int result = real(fd);
    if (result == 0 && (is_ours || is_directory)) {
        pthread_mutex_lock(&lock);
        record(is_ours ? 'S' : 'D', is_ours ? inodes[fd] : 0, 0, NULL, 0);
        pthread_mutex_unlock(&lock);
    }
    return result;
}

int fsync(int fd) {
    REAL(fsync);
    return synced(fd, real);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return synced(fd, real);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    char full[PATH_MAX], names[2 * PATH_MAX];
    const char *first = name_of(from, full), *second = name_of(to, full);
    int result = real(from, to);
    if (result == 0 && first && second) {
        size_t length = strlen(first) + 1;
        memcpy(names, first, length);
        strcpy(names + length, second);
        pthread_mutex_lock(&lock);
        record('R', 0, 0, names, length + strlen(second));
        pthread_mutex_unlock(&lock);
    }
    return result;
}

int unlink(const char *path) {
    REAL(unlink);
    char full[PATH_MAX];
    const char *name = name_of(path, full);
    int result = real(path);
    if (result == 0 && name) {
        pthread_mutex_lock(&lock);
        record('U', 0, 0, name, strlen(name));
        pthread_mutex_unlock(&lock);
    }
    return result;
}
