/* Sockets of a guest's, for a test: its user space is busybox, which knows none of AF_VSOCK.
 *   vsock_echo listen PORT   takes one connection, and gives back what comes until its end
 *   vsock_echo call PORT     connects to the host; stdin goes there, what comes goes to stdout */
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int fail(const char* what) {
  perror(what);
  return 1;
}

static int put(int to, const char* bytes, ssize_t count) {
  while (count > 0) {
    ssize_t sent = write(to, bytes, (size_t)count);
    if (sent <= 0) return -1;
    bytes += sent;
    count -= sent;
  }
  return 0;
}

static int echo(int connection) {
  static char bytes[65536];
  ssize_t got;
  while ((got = read(connection, bytes, sizeof bytes)) > 0) {
    if (put(connection, bytes, got) != 0) return fail("write");
  }
  if (got < 0) return fail("read");
  shutdown(connection, SHUT_WR);
  return 0;
}

static int relay(int connection) {
  static char bytes[32768];
  struct pollfd ends[2] = {{0, POLLIN, 0}, {connection, POLLIN, 0}};
  for (;;) {
    if (poll(ends, 2, -1) < 0) return fail("poll");
    if (ends[0].revents != 0) {
      ssize_t got = read(0, bytes, sizeof bytes);
      if (got > 0 && put(connection, bytes, got) != 0) return fail("write");
      if (got <= 0) {
        shutdown(connection, SHUT_WR);
        ends[0].fd = -1;
      }
    }
    if (ends[1].revents != 0) {
      ssize_t got = read(connection, bytes, sizeof bytes);
      if (got < 0) return fail("read");
      if (got == 0) return 0;
      if (put(1, bytes, got) != 0) return fail("write");
    }
  }
}

int main(int count, char** words) {
  if (count != 3) return 2;
  int is_listening = strcmp(words[1], "listen") == 0;
  struct sockaddr_vm address;
  memset(&address, 0, sizeof address);
  address.svm_family = AF_VSOCK;
  address.svm_port = (unsigned)atoi(words[2]);
  address.svm_cid = is_listening ? VMADDR_CID_ANY : VMADDR_CID_HOST;
  int end = socket(AF_VSOCK, SOCK_STREAM, 0);
  if (end < 0) return fail("socket");
  if (!is_listening) {
    if (connect(end, (struct sockaddr*)&address, sizeof address) != 0) return fail("connect");
    return relay(end);
  }
  if (bind(end, (struct sockaddr*)&address, sizeof address) != 0) return fail("bind");
  if (listen(end, 1) != 0) return fail("listen");
  puts("vsock_echo: listening");
  fflush(stdout);
  int connection = accept(end, NULL, NULL);
  if (connection < 0) return fail("accept");
  return echo(connection);
}
