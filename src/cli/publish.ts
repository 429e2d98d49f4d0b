/** `framelog publish`: sends a file, a stream or what ffmpeg reads into a broadcast. */
import { FramelogError } from '../errors.ts'
import { catalogLimits } from '../media/catalog.ts'
import type { Frame } from '../media/frame.ts'
import { usualPictureDuration } from '../media/picture.ts'
import { broadcastId, type Micros, micros, quote } from '../units.ts'
import { gatewayUrl } from './options.ts'
import { Progress } from './progress.ts'
import { Pace } from './publish/pace.ts'
import { openSource, type Source } from './publish/source.ts'
import { Uplink, type UplinkState } from './publish/uplink.ts'
import { onStopSignal } from './signals.ts'

export interface PublishFlags {
  readonly url: string
  readonly title?: string
  readonly loop?: boolean
  readonly rate: string
  readonly transcode?: boolean
}

export const publishLimits = {
  /** Milliseconds until a live source that is gone is opened again; it doubles up to the most. */
  retry: { first: 500, most: 10_000 },
} as const

export async function publish(name: string, from: string, flags: PublishFlags): Promise<void> {
  const id = broadcastId(name)
  const { title, loop = false, transcode = false } = flags
  if ((title?.length ?? 0) > catalogLimits.title)
    throw new FramelogError('BAD_OPTION', `--title has over ${catalogLimits.title} characters`)
  const rate = rateOf(flags.rate)
  const source = await openSource(from, transcode)
  if (loop && !source.mayRepeat)
    throw new FramelogError('BAD_OPTION', `--loop: ${source.name} cannot be read again`)
  const report = new Progress(process.stderr, () => `${figuresOf(uplink, timeline)}, ${uplink.state}`)
  const uplink = new Uplink({
    url: gatewayUrl(flags.url),
    id,
    waits: source.waits,
    onState: (state, reason = '') => report.note(`${id} ${tellState[state]}${reason && ` (${reason})`}.`),
  })
  const timeline = new Timeline()
  const stop = new AbortController()
  const unhook = onStopSignal(() => {
    report.note('Ending the broadcast; a second signal ends it at once.')
    stop.abort()
  })
  const pace = source.isPaced && rate !== undefined ? new Pace(rate) : undefined

  const send = async (): Promise<void> => {
    timeline.join()
    for await (const item of source.read(stop.signal)) {
      if (stop.signal.aborted) return
      if (item.kind === 'tracks') {
        uplink.describe({ version: 1, ...(title === undefined ? {} : { title }), tracks: item.tracks })
        continue
      }
      const frame = timeline.place(item.frame)
      await pace?.due(frame, stop.signal)
      await uplink.offer(frame)
    }
  }
  stop.signal.addEventListener('abort', () => uplink.stop())
  uplink.open()
  try {
    await keepOn(
      source,
      { loop, signal: stop.signal, note: text => report.note(text), hasBegun: () => timeline.hasBegun },
      send,
    )
    if (!timeline.hasBegun && !stop.signal.aborted)
      throw new FramelogError('BAD_CONTAINER', `${source.name} has no frames`)
    await uplink.finish('the publisher has stopped')
  } catch (error) {
    await uplink.close()
    throw error
  } finally {
    unhook()
    report.note(`${id}: ${figuresOf(uplink, timeline)}`)
    report.close()
  }
}

interface Course {
  readonly loop: boolean
  readonly signal: AbortSignal
  readonly hasBegun: () => boolean
  note(text: string): void
}

/** Reads a source to its end, again and again where it is to be; a live one that was there is waited for. */
async function keepOn(
  source: Source,
  { loop, signal, note, hasBegun }: Course,
  send: () => Promise<void>,
): Promise<void> {
  let wait: number = publishLimits.retry.first
  for (;;) {
    const begun = performance.now()
    try {
      await send()
      if (!loop || !hasBegun()) return
    } catch (error) {
      if (signal.aborted) return
      const isGone = error instanceof FramelogError && error.code === 'SOURCE_UNUSABLE'
      if (!isGone || !source.isLive || !hasBegun()) throw error
      if (performance.now() - begun > publishLimits.retry.most) wait = publishLimits.retry.first
      note(`${error.message}; trying again.`)
      await sleep(wait, signal)
      wait = Math.min(wait * 2, publishLimits.retry.most)
    }
    if (signal.aborted) return
  }
}

async function sleep(wait: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, wait)
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
  clearTimeout(timer)
}

/** One media time over all that is read one after the other: what begins anew follows what was there, as long after it as it came. */
class Timeline {
  #shift: number | undefined = 0
  #end = 0
  #endedAt = 0
  #frames = 0

  get hasBegun(): boolean {
    return this.#frames > 0
  }

  /** Media time of what was placed, microseconds. */
  get end(): Micros {
    return micros(this.#end)
  }

  /** What comes now has times of its own. */
  join(): void {
    if (this.hasBegun) this.#shift = undefined
  }

  place(frame: Frame): Frame {
    const { timestamp, decodeTimestamp, duration = usualPictureDuration } = frame
    const now = performance.now()
    // The first frame of pictures out of order is decoded before it is presented.
    this.#shift ??=
      this.#end +
      Math.max(0, (now - this.#endedAt) * 1000 - usualPictureDuration) -
      (decodeTimestamp ?? timestamp)
    const shift = this.#shift
    this.#frames += 1
    this.#end = Math.max(this.#end, timestamp + shift + duration)
    this.#endedAt = now
    return {
      ...frame,
      timestamp: micros(timestamp + shift),
      ...(decodeTimestamp === undefined ? {} : { decodeTimestamp: micros(decodeTimestamp + shift) }),
    }
  }
}

/** @returns undefined for as fast as the log takes it. @throws FramelogError BAD_OPTION */
function rateOf(text: string): number | undefined {
  if (text === 'max') return undefined
  const rate = Number(text)
  if (Number.isFinite(rate) && rate >= 0.1 && rate <= 100) return rate
  throw new FramelogError('BAD_OPTION', `--rate is ${quote(text)}: expected 0.1 to 100, or max`)
}

const tellState: Readonly<Record<UplinkState, string>> = {
  connecting: 'is connected to',
  live: 'is on air',
  stalled: 'waits for the log',
  reconnecting: 'is out of reach, trying again',
}

function figuresOf(uplink: Uplink, timeline: Timeline): string {
  const { frames, bytes, dropped, waiting } = uplink.figures
  const lost = dropped > 0 ? `, ${dropped} lost` : ''
  const waits = waiting > 0 ? `, ${waiting} on their way` : ''
  return `${(timeline.end / 1e6).toFixed(1)} s, ${frames} frames, ${(bytes / 1e6).toFixed(1)} MB in the log${waits}${lost}`
}
