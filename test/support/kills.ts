/**
 * Gateways that are killed, stopped in order, or cut off, under a publisher's page in Chromium, viewers' pages, and viewers
 * without a browser: what everybody got is compared with what the page's encoders gave.
 */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Browser, Page } from 'playwright-core'
import { quantile } from '../../bench/lag/figures.ts'
import { Feed, type FeedItem } from '../../src/cli/watch/feed.ts'
import { broadcastId } from '../../src/units.ts'
import { launch, open } from './chromium.ts'
import {
  encodedFrames,
  encoderScript,
  type Frames,
  hashOf,
  type Kind,
  lastEncoded,
  longestStill,
  noFrames,
  pictureScript,
} from './encoded-page.ts'
import { type Environment, type RunningGateway, startGateway } from './gateway.ts'
import { PageState } from './pages.ts'

/** A viewer without a browser: the one of `framelog watch`. */
export class Watcher {
  readonly frames = noFrames()
  /** What it was told is missing, and what ended it, if that was no end. */
  readonly faults: string[] = []
  /** The longest time without a frame since it was asked last, milliseconds. */
  longest = 0
  /** Whether frames come that are new: not those of a replay. */
  #at = performance.now()
  readonly #feed: Feed
  readonly done: Promise<void>

  constructor(url: string, id: string, from = 'live') {
    this.#feed = new Feed({ url: new URL(url), id: broadcastId(id), from, onState: () => {} })
    this.#feed.open()
    this.done = this.#read()
  }

  get latest(): number {
    return this.frames.video.times.at(-1) ?? -1
  }

  /** Milliseconds without a frame, at the longest, since it was asked last. */
  takeLongest(): number {
    const longest = Math.max(this.longest, performance.now() - this.#at)
    this.longest = 0
    return longest
  }

  close(): void {
    this.#feed.close()
  }

  async #read(): Promise<void> {
    const kinds = new Map<string, Kind>()
    try {
      for (let item = await this.#feed.next(); item !== undefined; item = await this.#feed.next())
        this.#take(item, kinds)
    } catch (error) {
      this.faults.push(String(error))
    }
  }

  #take(item: FeedItem, kinds: Map<string, Kind>): void {
    if (item.kind === 'gap') this.faults.push(`${item.frames} frames are missing`)
    else if (item.kind === 'catalog') {
      for (const { name, kind } of item.catalog.tracks)
        if (kind === 'video' || kind === 'audio') kinds.set(name, kind)
    } else {
      const now = performance.now()
      this.longest = Math.max(this.longest, now - this.#at)
      this.#at = now
      const { track, timestamp, data } = item.frame
      const kind = kinds.get(track) ?? assert.fail(`a frame of ${track}, which no catalog names`)
      this.#feed.took(item.session, timestamp)
      this.frames[kind].times.push(timestamp)
      this.frames[kind].hashes.push(hashOf(data))
    }
  }
}

/** Several gateways on one log that are started again under their addresses. */
export class Fleet implements AsyncDisposable {
  readonly #env: Environment
  readonly gateways: RunningGateway[] = []

  private constructor(env: Environment) {
    this.#env = env
  }

  static async start(count: number, bootstrapServers: string, env: Environment = {}): Promise<Fleet> {
    const prefix = `test-${randomUUID().slice(0, 8)}-`
    const fleet = new Fleet({ BOOTSTRAP_SERVERS: bootstrapServers, TOPIC_PREFIX: prefix, ...env })
    for (let i = 0; i < count; i++) fleet.gateways.push(await startGateway(fleet.#env))
    return fleet
  }

  at(i: number): RunningGateway {
    return this.gateways[i] ?? assert.fail()
  }

  /** Waits until the gateways know of each other. */
  async settled(id: string, viewers: number): Promise<void> {
    for (const { http } of this.gateways) {
      for (;;) {
        const response = await fetch(`${http}/api/v1/broadcasts/${id}`).catch(() => undefined)
        const info = response?.ok ? ((await response.json()) as { viewers: number }) : undefined
        if (info?.viewers === viewers) break
        await pause(50)
      }
    }
  }

  /** It stops, in order or not, and another one takes its place. */
  async replace(i: number, signal: NodeJS.Signals): Promise<void> {
    const { port, kill } = this.at(i)
    await kill(signal)
    this.gateways[i] = await startGateway({ ...this.#env, HTTP_PORT: String(port) })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.gateways.map(gateway => gateway[Symbol.asyncDispose]()))
  }
}

/** One publisher's page, and whoever watches it. */
export class Audience implements AsyncDisposable {
  readonly browser: Browser
  readonly id: string
  readonly studio: Page
  readonly pages: Page[] = []
  readonly watchers: Watcher[] = []
  readonly errors: string[][] = []

  private constructor(browser: Browser, id: string, studio: Page) {
    this.browser = browser
    this.id = id
    this.studio = studio
  }

  /** @param url of the publisher's gateway */
  static async open(url: string, id: string): Promise<Audience> {
    const browser = await launch()
    const path = `${url}/static/index.html?broadcast=${id}&autostart=1&mode=webcodecs`
    const { page, errors } = await open(browser, path, [encoderScript])
    const audience = new Audience(browser, id, page)
    audience.errors.push(errors)
    await new PageState(page).until('on air', ({ publisher }) => publisher?.state === 'live')
    return audience
  }

  async addPage(url: string): Promise<void> {
    const { page, errors } = await open(this.browser, `${url}/watch/${this.id}?muted=1`, [pictureScript])
    this.pages.push(page)
    this.errors.push(errors)
    await new PageState(page).until('a picture', ({ player }) => (player?.painted ?? 0) > 30)
  }

  async addWatchers(url: string, count: number): Promise<void> {
    const added = Array.from({ length: count }, () => new Watcher(url, this.id))
    this.watchers.push(...added)
    while (added.some(({ latest }) => latest < 0)) await pause(20)
  }

  /** The viewers of it, the studio's own replay among them. */
  get viewers(): number {
    return this.watchers.length + this.pages.length + 1
  }

  /** Waits until everybody has had what was encoded by now. @throws after half a minute */
  async caughtUp(): Promise<void> {
    const timestamp = await lastEncoded(this.studio)
    const deadline = performance.now() + 30_000
    const isLate = async (page: Page): Promise<boolean> =>
      ((await new PageState(page).read()).player?.mediaTime ?? -1) < timestamp
    for (;;) {
      const late = await Promise.all(this.pages.map(isLate))
      const behind = this.watchers.filter(({ latest }) => latest < timestamp).length
      if (!late.includes(true) && behind === 0) return
      if (performance.now() > deadline)
        assert.fail(`${behind} of ${this.watchers.length} viewers and the pages ${late} have not caught up`)
      await pause(20)
    }
  }

  /** What everybody waited for at the longest since they were asked last, milliseconds. */
  async freezes(): Promise<number[]> {
    return [
      ...this.watchers.map(watcher => watcher.takeLongest()),
      ...(await Promise.all(this.pages.map(longestStill))),
    ]
  }

  /** The publisher stops; what everybody got is compared with what its encoders gave. @param replayUrl of any gateway */
  async check(replayUrl: string): Promise<string> {
    await this.studio.getByRole('button', { name: 'Stop', exact: true }).click()
    await new PageState(this.studio).until('the end', ({ publisher }) => publisher?.state === 'ended')
    const wanted = await encodedFrames(this.studio)
    const replay = new Watcher(replayUrl, this.id, 'start')
    await Promise.all([...this.watchers, replay].map(({ done }) => done))
    assert.deepEqual(replay.faults, [])
    for (const kind of ['video', 'audio'] as const) {
      const [encoded, logged] = [wanted[kind].hashes, replay.frames[kind].hashes]
      // Before it goes on air a page tries its encoders. The times of sound are set right behind them.
      const before = encoded.length - logged.length
      assert.ok(before >= 0 && before < 100, `${encoded.length} encoded, ${logged.length} in the log`)
      assertSame(logged, encoded.slice(before), `the ${kind} in the log`)
      for (const { frames, faults } of this.watchers) {
        assert.deepEqual(faults, [])
        const { length } = frames[kind].times
        assert.ok(length > 0)
        for (const what of ['times', 'hashes'] as const)
          assertSame(frames[kind][what], replay.frames[kind][what].slice(-length), `the ${kind} of a viewer`)
      }
    }
    assert.deepEqual(this.errors.flat().filter(isUnexpected), [])
    const count = (frames: Record<Kind, Frames>): number =>
      frames.video.times.length + frames.audio.times.length
    return `${count(wanted)} frames encoded, ${count(replay.frames)} in the log, the same to ${this.watchers.length} viewers`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const watcher of this.watchers) watcher.close()
    await this.browser.close()
  }
}

/** Says where two differ: of a hundred thousand numbers nobody wants to see all. */
function assertSame(got: readonly number[], wanted: readonly number[], what: string): void {
  const at = got.findIndex((value, i) => value !== wanted[i])
  assert.ok(
    at < 0 && got.length === wanted.length,
    `${what} differs at ${at} of ${wanted.length}: ${got.length} came`,
  )
}

/** A page that loses its gateway has lines about sockets in its console. */
const isUnexpected = (error: string): boolean =>
  !/WebSocket connection to|Failed to load resource/.test(error)

export function freezeWords(freezes: readonly number[]): string {
  const ordered = [...freezes].sort((a, b) => a - b)
  const [p50, p95, p99, max] = [0.5, 0.95, 0.99, 1].map(share => Math.round(quantile(ordered, share)))
  return `freeze p50 ${p50} ms, p95 ${p95}, p99 ${p99}, max ${max}`
}
