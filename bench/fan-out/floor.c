/*
 * The floor: what it costs to send frames to many sockets, and nothing else. Makes each frame itself, with its moment in the
 * last eight bytes (microseconds of the wall clock, big endian), once for all, and writes it to each.
 *
 *   floor BYTES RATE GATHER
 *
 * With GATHER of more than 1, so many frames go in one write. Prints the port that it listens on. What a socket does not take
 * at once is kept, and sent first: every viewer gets every frame, or is closed at 16 MiB.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { most = 65536, most_waiting = 16 * 1024 * 1024 };

struct viewer {
  int fd;
  int is_open;
  uint8_t *waiting;
  size_t length;
};

static struct viewer *viewers[most];
static int count, loop;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void end(struct viewer *v) {
  if (v->fd < 0) return;
  close(v->fd);
  v->fd = -1;
  free(v->waiting);
  v->waiting = NULL;
  v->length = 0;
}

static void watch_for(struct viewer *v, uint32_t what) {
  struct epoll_event event = {.events = what, .data.ptr = v};
  epoll_ctl(loop, EPOLL_CTL_MOD, v->fd, &event);
}

static void keep(struct viewer *v, const uint8_t *data, size_t length) {
  if (v->length + length > most_waiting) {
    end(v);
    return;
  }
  if (v->length == 0) watch_for(v, EPOLLIN | EPOLLOUT);
  v->waiting = realloc(v->waiting, v->length + length);
  if (v->waiting == NULL) fail("memory");
  memcpy(v->waiting + v->length, data, length);
  v->length += length;
}

static void give(struct viewer *v, const uint8_t *data, size_t length) {
  if (v->fd < 0 || !v->is_open) return;
  ssize_t sent = v->length > 0 ? 0 : send(v->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN)
    end(v);
  else if (sent < (ssize_t)length)
    keep(v, data + (sent < 0 ? 0 : sent), length - (sent < 0 ? 0 : sent));
}

static void drain(struct viewer *v) {
  ssize_t sent = send(v->fd, v->waiting, v->length, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent <= 0) return;
  v->length -= sent;
  memmove(v->waiting, v->waiting + sent, v->length);
  if (v->length == 0) watch_for(v, EPOLLIN);
}

static const char answer[] =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

static void hear(struct viewer *v) {
  uint8_t buffer[4096];
  ssize_t length = recv(v->fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (length == 0 || (length < 0 && errno != EAGAIN))
    end(v);
  else if (!v->is_open) {
    /* A request of one packet; what follows it is of no interest. */
    if (send(v->fd, answer, sizeof answer - 1, MSG_NOSIGNAL) < 0) perror("send");
    v->is_open = 1;
  }
}

static size_t make_frame(uint8_t *to, size_t bytes) {
  size_t at = 0;
  to[at++] = 0x82;
  if (bytes < 65536) {
    to[at++] = 126;
    to[at++] = bytes >> 8;
    to[at++] = bytes & 255;
  } else {
    to[at++] = 127;
    for (int i = 7; i >= 0; i--) to[at++] = (uint64_t)bytes >> (8 * i) & 255;
  }
  memset(to + at, 4, bytes);
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  int64_t moment = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
  for (int i = 0; i < 8; i++) to[at + bytes - 1 - i] = moment >> (8 * i) & 255;
  return at + bytes;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fputs("floor BYTES RATE GATHER\n", stderr);
    return 2;
  }
  size_t bytes = atol(argv[1]);
  double rate = atof(argv[2]);
  int gather = atoi(argv[3]);
  if (bytes < 126 || bytes > 1024 * 1024 || rate < 1 || gather < 1 || gather > 64) return 2;
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(listener, (struct sockaddr *)&at, sizeof at) < 0 || listen(listener, 4096) < 0) fail("listen");
  socklen_t size = sizeof at;
  getsockname(listener, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);

  loop = epoll_create1(0);
  int timer = timerfd_create(CLOCK_MONOTONIC, 0);
  long period = (long)(1e9 / rate);
  struct itimerspec spec = {.it_interval = {.tv_nsec = period}, .it_value = {.tv_nsec = period}};
  timerfd_settime(timer, 0, &spec, NULL);
  struct viewer listening = {.fd = listener}, ticking = {.fd = timer}, parent = {.fd = 0};
  struct viewer *own[] = {&listening, &ticking, &parent};
  for (int i = 0; i < 3; i++) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = own[i]};
    epoll_ctl(loop, EPOLL_CTL_ADD, own[i]->fd, &event);
  }
  uint8_t *frames = malloc((bytes + 10) * gather);
  if (frames == NULL) fail("memory");
  size_t filled = 0;
  int gathered = 0;
  struct epoll_event events[256];
  for (;;) {
    int found = epoll_wait(loop, events, 256, -1);
    if (found < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < found; i++) {
      struct viewer *v = events[i].data.ptr;
      if (v == &parent) {
        char input[16];
        /* Whoever started it is gone. */
        if (read(0, input, sizeof input) <= 0) return 0;
      } else if (v == &listening) {
        int fd = accept(listener, NULL, NULL);
        if (fd < 0 || count == most) continue;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        struct viewer *made = calloc(1, sizeof *made);
        made->fd = fd;
        viewers[count++] = made;
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = made};
        epoll_ctl(loop, EPOLL_CTL_ADD, fd, &event);
      } else if (v == &ticking) {
        uint64_t times;
        if (read(timer, &times, sizeof times) != sizeof times) continue;
        for (; times > 0; times--) {
          filled += make_frame(frames + filled, bytes);
          if (++gathered < gather) continue;
          for (int k = 0; k < count; k++) give(viewers[k], frames, filled);
          filled = 0;
          gathered = 0;
        }
      } else {
        if (v->fd >= 0 && events[i].events & EPOLLOUT && v->length > 0) drain(v);
        if (v->fd >= 0 && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) hear(v);
      }
    }
  }
}
