/**
 * A worker that takes what MediaRecorder writes and gives the frames in it. Blobs are read here, one after the other,
 * so that their order is kept and the page has nothing to do with their bytes.
 */
import type { Demuxer } from '../../container/demuxer.ts'
import { AnyDemuxer } from '../../container/recognise.ts'
import { toFramelogError } from '../../errors.ts'
import type { AudioTrack, VideoTrack } from '../../media/catalog.ts'
import type { Frame } from '../../media/frame.ts'
import type { Problem } from '../net/link.ts'

export type ToDemuxWorker =
  /** A recording begins; what is still to come of the one before is not wanted. */
  | { readonly kind: 'begin'; readonly recording: number }
  | { readonly kind: 'data'; readonly recording: number; readonly blob: Blob }
  /** Nothing follows. */
  | { readonly kind: 'end'; readonly recording: number }

export type FromDemuxWorker =
  | {
      readonly kind: 'tracks'
      readonly recording: number
      readonly tracks: readonly (VideoTrack | AudioTrack)[]
    }
  | { readonly kind: 'frames'; readonly recording: number; readonly frames: readonly Frame[] }
  | { readonly kind: 'ended'; readonly recording: number }
  | { readonly kind: 'failed'; readonly recording: number; readonly problem: Problem }

/** The worker's own names, which the DOM's types lack. */
interface WorkerScope {
  onmessage: ((event: MessageEvent<ToDemuxWorker>) => void) | null
  postMessage(message: FromDemuxWorker, transfer?: Transferable[]): void
  readonly FileReaderSync: new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer }
}
const scope = globalThis as unknown as WorkerScope
const reader = new scope.FileReaderSync()

let current: { readonly recording: number; readonly demuxer: Demuxer } | undefined
let frames: Frame[] = []

scope.onmessage = ({ data: message }) => {
  if (message.kind === 'begin') {
    current = { recording: message.recording, demuxer: newDemuxer(message.recording) }
    frames = []
    return
  }
  if (message.recording !== current?.recording) return
  const { recording, demuxer } = current
  try {
    if (message.kind === 'data') demuxer.push(new Uint8Array(reader.readAsArrayBuffer(message.blob)))
    else demuxer.end()
  } catch (error) {
    const { code, message: words, advice, retryable } = toFramelogError(error)
    current = undefined
    give(recording)
    scope.postMessage({ kind: 'failed', recording, problem: { code, message: words, advice, retryable } })
    return
  }
  give(recording)
  if (message.kind === 'end') scope.postMessage({ kind: 'ended', recording })
}

function newDemuxer(recording: number): Demuxer {
  return new AnyDemuxer({
    onTracks: tracks => {
      give(recording)
      scope.postMessage({ kind: 'tracks', recording, tracks })
    },
    onFrame: frame => frames.push(frame),
  })
}

/** All frames of a blob in one message, without copying their bytes. */
function give(recording: number): void {
  if (frames.length === 0) return
  const buffers = new Set(frames.map(({ data }) => data.buffer as ArrayBuffer))
  scope.postMessage({ kind: 'frames', recording, frames }, [...buffers])
  frames = []
}
