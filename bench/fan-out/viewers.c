/*
 * Viewers that cost the machine little: many WebSocket connections in one process that count the messages they are sent,
 * and how old each is. Checks no handshake, masks with zeros (RFC 6455 section 5.3), answers pings.
 *
 *   viewers ADDRESS PORT PATH SUBPROTOCOL HELLO COUNT TYPE
 *
 * HELLO is a message in hexadecimal that is sent first, or -; messages whose first byte is TYPE count, with -1 all. The last
 * eight bytes of one that counts are its moment: microseconds of the wall clock, big endian.
 * Prints "ready" when each has had a message. From "begin" on its input it counts; at "end" it prints what there was, as JSON,
 * once each has had every message whose moment is in that time and that another one had, or a second later.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { most_samples = 8 * 1024 * 1024, most_viewers = 20000, most_moments = 1024 * 1024, patience = 1000000 };

struct viewer {
  int fd;
  /* 0: the answer to the handshake; 1: a message's head; 2: what it carries. */
  int state;
  uint8_t head[10];
  int have, need;
  uint64_t left;
  int opcode, first;
  uint8_t tail[8];
  uint8_t ping[125];
  int ping_length;
  /* Of the handshake: how much of the empty line has been seen. */
  int newlines;
  int is_ready;
  uint64_t frames;
  /* Messages whose moment counts. */
  uint64_t had;
};

static struct viewer *viewers;
static int count, type, ready, counting, ended;
static uint64_t bytes;
static uint32_t *samples;
static size_t sample_count;
/* Between which moments count, and those that any viewer has had, in order. */
static int64_t begun, over;
static int64_t moments[most_moments];
static size_t moment_count;
static uint8_t hello[512];
static int hello_length;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void send_masked(int fd, int opcode, const uint8_t *data, int length) {
  uint8_t out[600];
  int at = 0;
  out[at++] = 0x80 | opcode;
  if (length < 126)
    out[at++] = 0x80 | length;
  else {
    out[at++] = 0x80 | 126;
    out[at++] = length >> 8;
    out[at++] = length & 255;
  }
  memset(out + at, 0, 4);
  at += 4;
  memcpy(out + at, data, length);
  /* Small, and the first in the socket's buffer. */
  if (send(fd, out, at + length, MSG_NOSIGNAL) != at + length) perror("send");
}

/* Nearly always it is the newest one, or one of the last. */
static void note(struct viewer *v, int64_t at) {
  if (begun == 0 || at < begun || (over != 0 && at >= over)) return;
  v->had++;
  size_t i = moment_count;
  while (i > 0 && moments[i - 1] > at) i--;
  if ((i > 0 && moments[i - 1] == at) || moment_count == most_moments) return;
  memmove(moments + i + 1, moments + i, (moment_count - i) * sizeof *moments);
  moments[i] = at;
  moment_count++;
}

static uint64_t missing(void) {
  uint64_t sum = 0;
  for (int i = 0; i < count; i++)
    if (viewers[i].had < moment_count) sum += moment_count - viewers[i].had;
  return sum;
}

static void message_ended(struct viewer *v) {
  if (v->opcode == 9) {
    send_masked(v->fd, 10, v->ping, v->ping_length);
    return;
  }
  if (v->opcode == 8) return;
  if (type >= 0 && v->first != type) return;
  if (!v->is_ready) {
    v->is_ready = 1;
    if (++ready == count) {
      puts("ready");
      fflush(stdout);
    }
  }
  int64_t at = 0;
  for (int i = 0; i < 8; i++) at = (int64_t)((uint64_t)at << 8 | v->tail[i]);
  note(v, at);
  if (!counting) return;
  v->frames++;
  int64_t age = now() - at;
  if (sample_count < most_samples) samples[sample_count++] = age < 0 ? 0 : age > 60000000 ? 60000000 : (uint32_t)age;
}

/* The last eight bytes of what has come of a message so far. */
static void keep_tail(struct viewer *v, const uint8_t *data, size_t length) {
  if (length >= 8)
    memcpy(v->tail, data + length - 8, 8);
  else {
    memmove(v->tail, v->tail + length, 8 - length);
    memcpy(v->tail + 8 - length, data, length);
  }
}

static void take(struct viewer *v, const uint8_t *data, size_t length) {
  if (counting) bytes += length;
  while (length > 0) {
    if (v->state == 0) {
      uint8_t c = *data++;
      length--;
      if (c == '\n') {
        if (++v->newlines == 2) {
          v->state = 1;
          v->have = 0;
          v->need = 2;
          if (hello_length > 0) send_masked(v->fd, 2, hello, hello_length);
        }
      } else if (c != '\r')
        v->newlines = 0;
    } else if (v->state == 1) {
      v->head[v->have++] = *data++;
      length--;
      if (v->have < v->need) continue;
      int size = v->head[1] & 127;
      if (v->need == 2 && size >= 126) {
        v->need = size == 126 ? 4 : 10;
        continue;
      }
      v->left = 0;
      if (size < 126)
        v->left = size;
      else
        for (int i = 2; i < v->need; i++) v->left = v->left << 8 | v->head[i];
      v->opcode = v->head[0] & 15;
      v->first = -1;
      v->ping_length = 0;
      v->state = 2;
      if (v->left > 0) continue;
      message_ended(v);
      v->state = 1;
      v->have = 0;
      v->need = 2;
    } else {
      size_t part = length < v->left ? length : v->left;
      if (v->first < 0) v->first = data[0];
      if (v->opcode == 9)
        for (size_t i = 0; i < part && v->ping_length < 125; i++) v->ping[v->ping_length++] = data[i];
      keep_tail(v, data, part);
      data += part;
      length -= part;
      v->left -= part;
      if (v->left > 0) continue;
      message_ended(v);
      v->state = 1;
      v->have = 0;
      v->need = 2;
    }
  }
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

static uint32_t quantile(double q) {
  return sample_count == 0 ? 0 : samples[(size_t)(q * (sample_count - 1))];
}

static void report(void) {
  qsort(samples, sample_count, sizeof *samples, compare);
  uint64_t least = UINT64_MAX, most = 0, all = 0;
  for (int i = 0; i < count; i++) {
    all += viewers[i].frames;
    if (viewers[i].frames < least) least = viewers[i].frames;
    if (viewers[i].frames > most) most = viewers[i].frames;
  }
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  double cpu = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  printf(
    "{\"frames\":%lu,\"least\":%lu,\"most\":%lu,\"bytes\":%lu,\"ended\":%d,\"missing\":%lu,\"p50\":%u,\"p99\":%u,\"max\":%u,\"cpu\":%.3f}\n",
    all, least, most, bytes, ended, missing(), quantile(0.5), quantile(0.99), quantile(1), cpu
  );
  fflush(stdout);
}

static int begins_with(const char *line, const char *name) {
  return strncmp(line, name, strlen(name)) == 0;
}

int main(int argc, char **argv) {
  if (argc != 8) {
    fputs("viewers ADDRESS PORT PATH SUBPROTOCOL HELLO COUNT TYPE\n", stderr);
    return 2;
  }
  const char *address = argv[1], *path = argv[3], *subprotocol = argv[4], *hex = argv[5];
  count = atoi(argv[6]);
  type = atoi(argv[7]);
  if (count < 1 || count > most_viewers || strlen(hex) > 2 * sizeof hello) return 2;
  for (hello_length = 0; hex[0] != '-' && hex[2 * hello_length]; hello_length++) {
    unsigned byte;
    sscanf(hex + 2 * hello_length, "%2x", &byte);
    hello[hello_length] = byte;
  }
  struct rlimit limit;
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  viewers = calloc(count, sizeof *viewers);
  samples = malloc(most_samples * sizeof *samples);
  if (viewers == NULL || samples == NULL) fail("memory");
  int loop = epoll_create1(0);
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[2]))};
  inet_pton(AF_INET, address, &to.sin_addr);
  char request[1024];
  int request_length = snprintf(
    request, sizeof request,
    "GET %s HTTP/1.1\r\nHost: %s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n%s%s%s\r\n",
    path, address, argv[2], subprotocol[0] == '-' ? "" : "Sec-WebSocket-Protocol: ",
    subprotocol[0] == '-' ? "" : subprotocol, subprotocol[0] == '-' ? "" : "\r\n"
  );
  for (int i = 0; i < count; i++) {
    struct viewer *v = &viewers[i];
    v->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (v->fd < 0) fail("socket");
    if (connect(v->fd, (struct sockaddr *)&to, sizeof to) < 0) fail("connect");
    if (send(v->fd, request, request_length, MSG_NOSIGNAL) != request_length) fail("send");
    fcntl(v->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(loop, EPOLL_CTL_ADD, v->fd, &event);
    /* Not as one: a listening socket's queue is short. */
    if (i % 20 == 19) usleep(5000);
  }
  fcntl(0, F_SETFL, O_NONBLOCK);
  struct epoll_event input = {.events = EPOLLIN, .data.u32 = UINT32_MAX};
  epoll_ctl(loop, EPOLL_CTL_ADD, 0, &input);
  static uint8_t buffer[512 * 1024];
  struct epoll_event events[256];
  for (;;) {
    int found = epoll_wait(loop, events, 256, over == 0 ? -1 : 20);
    if (found < 0 && errno != EINTR) fail("epoll_wait");
    for (int i = 0; i < found; i++) {
      if (events[i].data.u32 == UINT32_MAX) {
        char line[64] = "";
        ssize_t length = read(0, line, sizeof line - 1);
        if (length == 0) return 1;
        if (begins_with(line, "begin")) {
          counting = 1;
          begun = now();
        }
        if (begins_with(line, "end")) {
          counting = 0;
          over = now();
        }
        continue;
      }
      struct viewer *v = &viewers[events[i].data.u32];
      ssize_t length = recv(v->fd, buffer, sizeof buffer, 0);
      if (length > 0)
        take(v, buffer, length);
      else if (length == 0 || (errno != EAGAIN && errno != EINTR)) {
        ended++;
        epoll_ctl(loop, EPOLL_CTL_DEL, v->fd, NULL);
        close(v->fd);
      }
    }
    /* The last one may still be on its way to all of them: a moment is waited in any case. */
    if (over != 0 && now() - over > patience / 4 && (missing() == 0 || now() - over > patience)) {
      report();
      return 0;
    }
  }
}
