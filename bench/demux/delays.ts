/** How long after its last byte a frame comes out: here, and of mediabunny's streaming input. */
import { ALL_FORMATS, EncodedPacketSink, Input, type InputTrack, ReadableStreamSource } from 'mediabunny'
import { AnyDemuxer } from '../../src/container/recognise.ts'
import type { Frame } from '../../src/media/frame.ts'

/** A stream in pieces, and what it is known to hold. */
interface Known {
  readonly pieces: readonly Uint8Array[]
  readonly frames: readonly Frame[]
  /** For each frame, the piece with its last byte. */
  readonly lastPieces: readonly number[]
  /** For each piece, microseconds of media that have come with it. */
  readonly times: readonly number[]
}

/** Of each frame: pieces, and milliseconds of media, that came between its last byte and it. */
export interface Delays {
  readonly pieces: number[]
  readonly media: number[]
}

/** Finds each frame's bytes in the stream: what comes out says nothing about when it could have. */
export function know(pieces: readonly Uint8Array[]): Known {
  const frames: Frame[] = []
  const demuxer = new AnyDemuxer({ onTracks() {}, onFrame: frame => frames.push(frame) })
  for (const piece of pieces) demuxer.push(piece.slice())
  demuxer.end()
  const whole = Buffer.concat(pieces)
  let sum = 0
  const ends = pieces.map(({ byteLength }) => (sum += byteLength))
  let at = 0
  let piece = 0
  const lastPieces = frames.map(({ data }) => {
    at = whole.indexOf(data, at) + data.byteLength
    while ((ends[piece] ?? 0) < at) piece += 1
    return piece
  })
  let latest = 0
  let frame = 0
  const times = pieces.map((_, i) => {
    for (; (lastPieces[frame] ?? Number.POSITIVE_INFINITY) <= i; frame++)
      latest = Math.max(latest, frames[frame]?.timestamp ?? 0)
    return latest
  })
  return { pieces, frames, lastPieces, times }
}

function note(delays: Delays, { lastPieces, times }: Known, frame: number, piece: number): void {
  const last = lastPieces[frame] ?? 0
  delays.pieces.push(piece - last)
  delays.media.push(((times[piece] ?? 0) - (times[last] ?? 0)) / 1000)
}

export function ourDelays(known: Known): Delays {
  const delays: Delays = { pieces: [], media: [] }
  let piece = 0
  let frame = 0
  const demuxer = new AnyDemuxer({ onTracks() {}, onFrame: () => note(delays, known, frame++, piece) })
  for (; piece < known.pieces.length; piece++) demuxer.push((known.pieces[piece] as Uint8Array).slice())
  return delays
}

/** Rounds of the event loop in which a reader can use a piece before the next one comes. */
const turns = 6

/** The same pieces, one whenever the reader asks for more and can do nothing with what it has. */
export async function delaysOfMediabunny(known: Known): Promise<Delays> {
  const delays: Delays = { pieces: [], media: [] }
  let given = 0
  const stream = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        for (let i = 0; i < turns; i++) await new Promise(resolve => setImmediate(resolve))
        const piece = known.pieces[given]
        if (piece === undefined) controller.close()
        else {
          given += 1
          controller.enqueue(piece.slice())
        }
      },
    },
    { highWaterMark: 0 },
  )
  using input = new Input({ source: new ReadableStreamSource(stream), formats: ALL_FORMATS })
  const tracks = await input.getTracks()
  await Promise.all(tracks.map(track => readTrack(track, delays, known, () => given - 1)))
  return delays
}

async function readTrack(
  track: InputTrack,
  delays: Delays,
  known: Known,
  piece: () => number,
): Promise<void> {
  const own = known.frames.flatMap((frame, index) => (frame.track === track.type ? [index] : []))
  let n = 0
  for await (const _ of new EncodedPacketSink(track).packets()) {
    const frame = own[n++]
    // Behind the last piece everything comes out: that is the end, and no delay.
    if (frame !== undefined && piece() < known.pieces.length - 1) note(delays, known, frame, piece())
  }
}
