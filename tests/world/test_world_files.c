// Files that are written: a regular one is replaced whole, and nothing else is ever replaced:
// no link, directory, device or pipe.
#include "world_os.h"

#include "check_main.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static const char *content(const char *path) {
    static char text[64];
    FILE *file = fopen(path, "r");
    ck_assert_msg(file != NULL, "%s", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static mode_t kind(const char *path) {
    struct stat status;
    ck_assert_int_eq(lstat(path, &status), 0);
    return status.st_mode & S_IFMT;
}

static void written(const char *path, const char *text) {
    const char *why = world_os_cannot_write(path);
    ck_assert_msg(why == NULL, "%s: %s", path, why);
    why = world_os_write_file(path, text, strlen(text));
    ck_assert_msg(why == NULL, "%s: %s", path, why);
}

static void refused(const char *path, const char *expected) {
    const char *why = world_os_cannot_write(path);
    ck_assert_msg(why != NULL && strstr(why, expected), "%s: %s", path, why ? why : "can write");
    why = world_os_write_file(path, "new", 3);
    ck_assert_msg(why != NULL && strstr(why, expected), "%s: %s", path, why ? why : "written");
}

// Names in the folder that begin with `name`.
static int count_of(const char *name) {
    int count = 0;
    DIR *folder = opendir(".");
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += strncmp(entry->d_name, name, strlen(name)) == 0;
    closedir(folder);
    return count;
}

START_TEST(a_regular_file_is_replaced) {
    written("file", "first and long");
    struct stat before, after;
    stat("file", &before);
    written("file", "second");
    stat("file", &after);
    ck_assert_str_eq(content("file"), "second");
    ck_assert_uint_ne(before.st_ino, after.st_ino); // not written over: whole or not at all
    ck_assert_int_eq(count_of("file"), 1);
    refused("file/within", "Not a directory");
    refused("none/within", "No such file");
}
END_TEST

START_TEST(a_link_is_followed) {
    written("target", "old");
    ck_assert_int_eq(symlink("target", "link"), 0);
    written("link", "new");
    ck_assert_int_eq(kind("link"), S_IFLNK);
    ck_assert_int_eq(kind("target"), S_IFREG);
    ck_assert_str_eq(content("target"), "new");
}
END_TEST

START_TEST(a_link_that_leads_nowhere_stays) {
    ck_assert_int_eq(symlink("nothing-here", "lost"), 0);
    refused("lost", "leads nowhere");
    ck_assert_int_eq(kind("lost"), S_IFLNK);
}
END_TEST

START_TEST(a_directory_is_refused) {
    ck_assert_int_eq(mkdir("folder", 0777), 0);
    refused("folder", "Is a directory");
    refused(".", "Is a directory");
    ck_assert_int_eq(kind("folder"), S_IFDIR);
    ck_assert_int_eq(count_of("folder"), 1);
}
END_TEST

START_TEST(a_block_device_is_refused) {
    if (mknod("disk", S_IFBLK | 0600, makedev(259, 1048575)) != 0) {
        printf("a_block_device_is_refused: left out, making one takes more rights\n");
        return;
    }
    refused("disk", "block device");
    ck_assert_int_eq(kind("disk"), S_IFBLK);
}
END_TEST

START_TEST(a_pipe_and_a_device_are_written_to) {
    char text[8] = "";
    ck_assert_int_eq(mkfifo("pipe", 0600), 0);
    int reader = open("pipe", O_RDWR | O_CLOEXEC | O_NONBLOCK);
    written("pipe", "through");
    ck_assert_int_eq(read(reader, text, 7), 7);
    close(reader);
    ck_assert_str_eq(text, "through");
    ck_assert_int_eq(kind("pipe"), S_IFIFO); // else the machine's own devices would be replaced
    ck_assert_int_eq(symlink("/dev/null", "null"), 0);
    written("null", "gone");
    ck_assert_int_eq(symlink("/dev/full", "full"), 0);
    ck_assert_str_eq(world_os_write_file("full", "x", 1), "No space left on device");
    ck_assert_int_eq(kind("null"), S_IFLNK);
    ck_assert_int_eq(kind("full"), S_IFLNK);
}
END_TEST

// What `-o /dev/stdout >file` says; a link of our own, so that a failure harms no real one.
START_TEST(the_file_of_standard_output_is_written_to_in_turn) {
    ck_assert_int_eq(symlink("/proc/self/fd/1", "stdout"), 0);
    fflush(stdout);
    int saved = dup(STDOUT_FILENO), file = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(file, STDOUT_FILENO);
    fputs("before ", stdout);
    const char *cannot = world_os_cannot_write("stdout");
    const char *why = world_os_write_file("stdout", "between ", 8);
    fputs("after", stdout);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(file);
    ck_assert_ptr_null(cannot);
    ck_assert_ptr_null(why);
    ck_assert_str_eq(content("out"), "before between after");
    ck_assert_int_eq(kind("stdout"), S_IFLNK);
    ck_assert_int_eq(count_of("out"), 1);
}
END_TEST

CHECK_MAIN("world_files", a_regular_file_is_replaced, a_link_is_followed,
           a_link_that_leads_nowhere_stays, a_directory_is_refused, a_block_device_is_refused,
           a_pipe_and_a_device_are_written_to, the_file_of_standard_output_is_written_to_in_turn)
