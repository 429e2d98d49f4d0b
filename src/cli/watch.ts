/** `framelog watch`: writes a broadcast into a file, or out at once, as a viewer gets it from a gateway. */
import { FramelogError } from '../errors.ts'
import { parsePosition } from '../relay/position.ts'
import { broadcastId, type Millis, micros } from '../units.ts'
import { gatewayUrl, spanOption } from './options.ts'
import { Progress } from './progress.ts'
import { onStopSignal } from './signals.ts'
import { containerOf, standardOutput } from './watch/container.ts'
import { openFile, openNextFile, openStream, ReaderGone } from './watch/destination.ts'
import { Feed, type FeedState } from './watch/feed.ts'
import { Recorder } from './watch/recorder.ts'
import { figures } from './watch/report.ts'

export interface WatchOptions {
  readonly output: string
  readonly from: string
  readonly url: string
  readonly duration?: string
  readonly format?: string
  readonly force?: boolean
}

export const watchLimits = {
  /** Milliseconds that finishing may take where it waits for the reader of a pipe. */
  finish: 30_000,
} as const

export async function watch(name: string, options: WatchOptions): Promise<void> {
  const id = broadcastId(name)
  const { output, from, force = false } = options
  parsePosition(from, Date.now() as Millis)
  const container = containerOf(output, options.format)
  const duration =
    options.duration === undefined ? undefined : micros(spanOption('--duration', options.duration) * 1000)
  const url = gatewayUrl(options.url)
  const isStream = output === standardOutput
  const first = isStream ? openStream(process.stdout) : await openFile(output, { force })

  const report = new Progress(process.stderr, () => {
    const file = recorder.current
    return file && `${figures(file)}, ${feed.state}`
  })
  const recorder = new Recorder({
    container,
    duration,
    open: async number => {
      if (number === 1) return first
      if (!isStream) return openNextFile(output, number, { force })
      throw new FramelogError('CANNOT_GO_ON', 'The standard output has no place for what comes now')
    },
    onNote: note => report.note(note),
    onFinished: file => report.note(`${file.name}: ${figures(file)}`),
  })
  const onState = (state: FeedState, reason = ''): void => {
    const isRecording = state === 'ended' && !recorder.hasBegun
    const what = isRecording ? 'is over, its recording comes' : tellState[state]
    report.note(`${id} ${what}${reason && ` (${reason})`}.`)
  }
  const feed = new Feed({ url, id, from, onState })
  const unhook = stopOnSignal(feed, report, isStream)

  const lost = { frames: 0 }
  const broken = await failureOf(record(feed, recorder, lost))
  feed.close()
  // What came is in the file, whatever made an end to it.
  const unfinished = await failureOf(recorder.finish())
  if (unfinished !== undefined) await recorder.abandon()
  const failure = broken ?? unfinished
  if (!recorder.hasBegun) await first.discard()
  unhook()
  if (lost.frames > 0) report.note(`${lost.frames} frames were lost before they came here.`)
  if (recorder.undecodable > 0)
    report.note(`${recorder.undecodable} frames before a first keyframe were left out.`)
  if (!recorder.hasBegun && failure === undefined) report.note('No frame came: nothing was written.')
  report.close()
  if (failure !== undefined && !(failure instanceof ReaderGone)) throw failure
}

/** Until the broadcast or what is wanted of it is over. */
async function record(feed: Feed, recorder: Recorder, lost: { frames: number }): Promise<void> {
  feed.open()
  while (!recorder.enough) {
    const item = await feed.next()
    if (item === undefined) return
    if (item.kind === 'catalog') await recorder.catalog(item.session, item.catalog)
    else if (item.kind === 'gap') lost.frames += item.frames
    else {
      await recorder.frame(item)
      feed.took(item.session, item.frame.timestamp)
    }
  }
}

const tellState: Readonly<Record<FeedState, string>> = {
  connecting: 'is connected to',
  reconnecting: 'is out of reach, trying again',
  waiting: 'has not begun, waiting for it',
  live: 'is live',
  interrupted: 'is interrupted, waiting for its publisher',
  ended: 'is over',
}

/** The first signal finishes the file, the second kills. */
function stopOnSignal(feed: Feed, report: Progress, isStream: boolean): () => void {
  let timer: NodeJS.Timeout | undefined
  const unhook = onStopSignal(() => {
    report.note('Finishing; a second signal ends it at once.')
    feed.close()
    if (!isStream) return
    timer = setTimeout(() => {
      report.note(`The reader of the output has not taken the rest within ${watchLimits.finish / 1000} s.`)
      process.exit(1)
    }, watchLimits.finish)
  })
  return () => {
    clearTimeout(timer)
    unhook()
  }
}

async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work
    return undefined
  } catch (error) {
    return error
  }
}
